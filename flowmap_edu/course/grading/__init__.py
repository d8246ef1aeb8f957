"""Grade submissions without any other tool: each in a process of its own, judged where its code cannot reach.

submissions   find them, read them, say what is odd
sandbox       the command that starts a process without network and with a file system of its own
runner        what runs there: the cells, then each part's answer on the hidden cases
wire          values as JSON, on the way there and back
process       one run with limits of time and output
grading       compare what came back with the right answers, part by part
reports       grades.csv and a page a student
"""

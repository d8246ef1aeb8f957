"""Bad command lines: what is typed, and a part of the one line that comes back. The exit status of all is 2.

The words are split at spaces; $T, $D and $B stand for the beginnings below. The files are made by `test_command_line`.
"""

BEGINNINGS = {
    "$T": "train checkerboard --steps 2 --set compile=false --out new",
    "$D": "train digits --steps 2 --set compile=false --set batch=8 --out new",
    "$B": "train checkerboard --out new",
    "$E": "evaluate run --samples 10",
    "$S": "sample run --samples 10 --out new.npy",
}
COUNT = "must be a whole number of at least 1, got"
FAR = "must be a finite number, at most 1e+30 in size; got"

WORDS = [
    ("", "the following arguments are required: command"),
    ("trian", "command: invalid choice: 'trian'"),
    ("train", "the following arguments are required: --out"),
    ("train --out new", "name a problem to train on, or --resume a run"),
    ("train checkerboard --out", "--out: expected one argument"),
    ("$T more", "unrecognized arguments: more"),
    ("$T --colour 1", "unrecognized arguments: --colour 1"),
    ("$B --steps", "--steps: expected one argument"),
    ("$B --steps 2 --minutes 1", "--minutes: not allowed with argument --steps"),
    ("evaluate", "the following arguments are required: DIR"),
    ("table chess", "invalid choice: 'chess'"),
    ("demo more", "unrecognized arguments: more"),
    ("lab more", "options for JupyterLab begin with '-', got 'more'"),
    ("$B --method gan", "--method: invalid choice: 'gan'"),
    ("$B --recipe gone", "--recipe: invalid choice: 'gone'"),
]
OPTIONS = [
    *[(f"--threads={v} $T", f"--threads {COUNT}") for v in ("0", "-1", "1.5", "two", "", "nan")],
    ("--threads=1025 $T", "--threads must be a whole number of at most 1024, got 1025"),
    *[(f"$B --steps={v}", f"--steps {COUNT}") for v in ("0", "-1", "1.5", "two", "inf", "null", "1e3")],
    (f"$B --steps={10**23}", "--steps must be a whole number of at most 2**63 - 1, got 1000"),
    *[(f"$B --minutes={v}", "--minutes must be positive, got") for v in ("0", "-1")],
    *[(f"$B --minutes={v}", f"--minutes {FAR}") for v in ("inf", "-inf", "nan", "1e31", "1e400")],
    *[(f"$B --minutes={v}", "--minutes must be a number, got") for v in ("two", "", "null")],
    *[(f"{b} --seed={v}", "--seed must be a whole number of at") for b in ("$T", "$E", "$S") for v in (-1, 2**64, 1.5)],
    ("$T --save-seconds=-1", "--save-seconds must be at least 0, got -1.0"),
    *[(f"$T --save-seconds={v}", f"--save-seconds {FAR}") for v in ("nan", "inf")],
    *[(f"$T --every={v}", f"--every {COUNT}") for v in ("0", "-1", "1.5")],
    ("$T --every 3", "--every must be at most 2 in a run of 2 steps, got 3: a checkpoint is written at a report"),
    ("$B --minutes 1 --every 1001", "--every must be at most 1000 where the budget is in minutes, got 1001"),
    ("train --resume --out run --every 3", "--every must be at most 2 in a run of 2 steps, got 3"),
    *[(f"$T --{name}-every=0", f"--{name}-every {COUNT} 0") for name in ("grid", "fid")],
    ("$T --grid-every 1", "--grid-every is for images (1 or 3, H, W), not for Checkerboard"),
    ("$T --fid-every 1", "--fid-every is for data sets of images with a Fréchet distance, not for Checkerboard"),
    ("train x.npy --steps 2 --out new --fid-every 1", "not for FromTensor, whose samples have shape (3,)"),
    *[(f"$D --fid-every 1 --fid-images={v}", "--fid-images must be a whole number of at least 2") for v in (0, 1, -5)],
    ("$D --fid-every 1 --weights file", "--weights is not for Digits: its evaluation takes no weights"),
    ("train emoji --steps 2 --out new --fid-every 1 --weights gone", "gone is missing, damaged or not made of tensors"),
    (
        "train emoji --steps 2 --out new --fid-every 1 --weights x.npy",
        "x.npy is missing, damaged or not made of tensors",
    ),
    ("$D --fid-images 10", "--fid-images would be ignored: it belongs to --fid-every"),
    ("$D --weights file", "--weights would be ignored: it belongs to --fid-every"),
    ("$T --labels y.npy", "--labels belongs to a file .npy or .csv, it would be ignored with 'checkerboard'"),
    *[(f"{b} --device=mps", "forward-mode derivatives are untested on it") for b in ("$T", "$E", "$S")],
    *[(f"$T --device={v}", "device must be 'cpu', 'cuda' or") for v in ("tpu", "cuda:x", "cuda:", "cpu:0", "")],
]
SETTINGS = [
    *[(f"$T --set={v}", "--set expects NAME=VALUE, got") for v in ("", "lr", "=1", "=")],
    ("$T --set lr=", "--set lr must be NAME=VALUE, got no value"),
    *[
        (f"$T --set {v}", "the name in --set must be one of 'steps'")
        for v in ("colour=1", "problem=x", "method=lsd", "out=x")
    ],
    *[(f"$T --set {v}", "must be one of 'problem', 'net', 'method'") for v in ("x.y=1", "training.lr=1")],
    *[
        (f"$T --set seed={v}", "--set seed must be a whole number")
        for v in ("1.5", "null", "true", "[1]", "1e3", "inf", 2**63)
    ],
    ("$T --set seed=-1", "seed must be a whole number of at least 0, got -1"),
    *[
        (f"$T --set batch={v}", "--set batch must be a whole number")
        for v in ("24.0", "null", "[24]", "true", "1e2", "")
        if v
    ],
    ("$T --set batch=0", f"batch {COUNT} 0"),
    ("$T --set accumulate=5", "cannot be cut into 5 equal parts: shares=1 times accumulate=5"),
    ("$T --set shares=5", "cannot be cut into 5 equal parts: shares=5 times accumulate=1"),
    ("$D --set shares=2 --set accumulate=3", "cannot be cut into 6 equal parts: shares=2 times accumulate=3"),
    *[(f"$T --set shares={v}", f"shares {COUNT} {v}") for v in (0, -1)],
    *[(f"$T --set shares={v}", "--set shares must be a whole number") for v in ("1.5", "null", "two", "[2]")],
    ("$T --set shares=257", "shares must be at most 256, got 257"),
    ("$T --set optimizer=sgd", "optimizer must be one of 'adam', 'radam', 'soap'; got 'sgd'"),
    *[(f"$T --set lr={v}", "--set lr must be a number, got") for v in ("null", "[0.1]", "true", "x", "{}")],
    *[(f"$T --set lr={v}", f"--set lr {FAR}") for v in ("inf", "nan", "1e31")],
    *[(f"$T --set lr={v}", "lr must be positive, got") for v in ("0", "-1")],
    *[(f"$T --set warmup={v}", "warmup must be a whole number") for v in ("0", "1.5")],
    ("$T --set decay=step", "decay must be one of 'cosine', 'linear', 'sqrt', 'none'; got 'step'"),
    *[(f"$T --set {k}", "decay_from") for k in ("decay_from=3", "decay_from=0", "decay_from=1.5")],
    *[
        (f"$T --set {name}=2", f"{name} must lie in [0, 1], got 2.0")
        for name in ("ema", "second_ema", "diagonal", "at_one")
    ],
    ("$T --set diagonal=1", "diagonal must leave Lagrangian self-distillation a sample off it"),
    ("$T --set at_one=0.9", "at_zero and at_one must be shares of one batch, got 0.3 and 0.9"),
    *[(f"$T --set stratified={v}", "--set stratified must be true or false, got") for v in ("2", "yes", "null", "1")],
    (
        "train checkerboard --steps 2 --out new --set compile=maybe",
        "--set compile must be true or false or null, got 'maybe'",
    ),
    ("$T --set precision=fp16", "precision must be one of 'fp32', 'bf16'; got 'fp16'"),
    ("$T --set channels_last=true", "channels_last would be ignored"),
    ("$T --set label_dropout=0.5", "label_dropout would be ignored"),
    ("$T --set interpolant=Bent", "has no 'Bent'"),
    ("$T --set interpolant=", "a reference must look like 'module:name'"),
    ("$T --set interpolant=Interpolant", "is abstract: name a class that can be made"),
    ("$T --set interpolant=per_sample", "does not take these arguments"),
    ("$T --set interpolant=os:getcwd", "interpolant must be an Interpolant, such as Linear(), got"),
    ("$T --set interpolant=.x:y", "a reference must look like 'module:name', got '.x:y'"),
    ("$T --set lr=0.1 --set lr=0.2", "--set lr is given twice"),
    ("$T --seed 1 --set seed=1", "seed is given twice: --seed 1 and --set seed=1"),
    ("$T --set steps=2", "steps is given twice: --steps 2 and --set steps=2"),
    ("$B --minutes 1 --set minutes=1", "minutes is given twice: --minutes 1.0 and --set minutes=1"),
    ("$T --set minutes=1", "give exactly one of steps and minutes, got 2 and 1.0"),
    ("$B --set steps=null --set minutes=null", "give exactly one of steps and minutes, got None and None"),
    ("train cifar10 --root a --set problem.root=b --out new", "root is given twice: --root and --set problem.root"),
]
PARTS = [
    *[
        (f"$T --set net.hidden={v}", "--set net.hidden must be a whole number, got")
        for v in ("8.5", "null", "[8]", "x", "true")
    ],
    ("$T --set net.hidden=0", f"hidden {COUNT} 0"),
    *[(f"$T --set net.{v}", "does not take these arguments") for v in ("harmonics=3.0", "x=1", "=1")],
    ("$T --set net.fourier=3", "fourier must be even, half cosines and half sines; got 3"),
    ("$T --set net.fourier=2.0", "--set net.fourier must be a whole number, got '2.0'"),
    ("$T --set net.activation=tanh", "activation must be one of 'silu', 'gelu'; got 'tanh'"),
    *[(f"$T --set net.scale={v}", "--set net.scale must be a") for v in ("x", "inf")],
    ("$T --set net.dim=3", "MLP does not take s and t of shape (2,), x of shape (2, 2)"),
    ("$D --set net.width=8.5", "--set net.width must be a whole number, got '8.5'"),
    *[
        (f"$D --set net.multipliers={v}", "--set net.multipliers must be a list such as [1, 2], got")
        for v in ("2", "[2.5]", "[a]")
    ],
    ("$D --set net.attention=[true]", "--set net.attention must be a list such as [1, 2], got"),
    ("$D --set net.multipliers=[]", "multipliers must hold at least one number, got 0"),
    ("$T --set net.layers=10000000", "layers must be at most 1000, got 10000000"),
    ("$D --set net.blocks=10000000", "blocks must be at most 1000 a level, got 10000000"),
    ("$D --set net.size=9", "size must be divisible by 2"),
    ("$D --set net.hidden=3", "does not take these arguments"),
    ("$T --set method.x=1", "the name in --set method.NAME must be one of 'title'"),
    ("$T --set method.condition=x", "condition must be one of"),
    ("$T --set method.stopgrad=x", "stopgrad must be one of"),
    ("$T --set method.stages=1.5", "--set method.stages must be a whole number, got '1.5'"),
    ("$T --set method.stages=1", "stages must be above 0 exactly if a teacher is read"),
    ("$T --set method.diagonal=x", "--set method.diagonal must be"),
    ("$T --set method.tangent_warmup=2", "tangent_warmup must lie in [0, 1], got 2.0"),
    ("$T --set problem.sigma=1", "it takes no arguments"),
    ("$D --set problem.labels=2", "--set problem.labels must be true or false, got '2'"),
    ("$D --set problem.root=", "--set problem.root must be NAME=VALUE, got no value"),
    *[
        (f"train x.npy --steps 2 --out new --set problem.{v}=1", "the name in --set problem.NAME must be one of")
        for v in ("path", "labels", "colour")
    ],
    ("train x.npy --steps 2 --out new --set problem.held_out=2", "held_out must lie in [0, 1], got 2.0"),
    *[
        (f"train gaussian --steps 2 --out new --set problem.mean={v}", "--set problem.mean must be")
        for v in ("x", "[x]", "[[1,2]]", "[1,1e400]")
    ],
    ("train gaussian --steps 2 --out new --set problem.std=0", "std must be finite and positive, got 0.0"),
    ("train gaussian --steps 2 --out new --set problem.colour=1", "it takes mean, std, sigma, dim"),
]
OBJECTS = [
    *[
        (f"train {v} --steps 2 --out new", "the problem must be one of checkerboard")
        for v in ("chess", "points", "images", "folder")
    ],
    *[
        (f"train {v} --steps 2 --out new", "is missing or holds no array of numbers")
        for v in ("gone.npy", "folder.npy", "words.csv")
    ],
    ("train words.npy --steps 2 --out new", "words.npy holds values of type <U1; real numbers"),
    ("train x.npy --labels words.npy --steps 2 --out new", "words.npy holds values of type <U1; real numbers"),
    ("train ints.npy --steps 2 --out new", "x must be floating-point, got torch.int64"),
    ("train gone:x --steps 2 --out new", "needs the module 'gone', which cannot be imported"),
    *[
        (f"train {v} --steps 2 --out new", "a reference must look like 'module:name'")
        for v in (":x", "x:", "..:x", ".a:b")
    ],
    ("train os:getcwd --steps 2 --out new", "os:getcwd must be a Problem or a function that returns one, got str"),
    ("train broken:x --steps 2 --out new", "the module 'broken' is no Python: invalid syntax"),
    ("train flowmap_edu.problems:Problem --steps 2 --out new", "is abstract: name a class that can be made"),
    ("train flowmap_edu.nets:MLP --steps 2 --out new", "must be a Problem or a function that returns one, got MLP"),
    *[(f"$T --net {v}", "") for v in ("gone:x", "torch.nn:Linear", "torch.nn:Identity", "flowmap_edu.nets:Gone")],
    ("$T --net os:getcwd", "os:getcwd must make a torch module, got str"),
    ("$B --method lmd --steps 2", "reads a teacher, --teacher is None"),
    ("$T --teacher run", "reads no teacher, --teacher is 'run'"),
    ("$T --method lmd --teacher gone", "'gone' is neither a run's folder"),
    ("$D --method lmd --teacher run", "the teacher run has samples of shape (2,), the problem (1, 8, 8)"),
    ("train emoji --root nowhere --steps 2 --out new", "emoji is not here: there is no folder"),
]
PLACES = [
    ("train checkerboard --steps 2 --out file", "--out must be a folder: file is a file"),
    ("train checkerboard --steps 2 --out file/below", "which is a file"),
    ("train checkerboard --steps 2 --out ~nobodyhere/x", "Could not determine home directory"),
    ("train checkerboard --steps 2 --out=", "--out must name a path, got ''"),
    (f"train checkerboard --steps 2 --out {'a' * 300}", "File name too long"),
    ("train checkerboard --steps 2 --out run", "run already holds a run"),
    ("train --resume --out gone", "'gone' is neither a run's folder"),
    ("train --resume --out folder", "'folder' is neither a run's folder"),
    ("train --resume --out checkerboard-lsd", "the shipped map of that name stays as it is"),
    *[(f"train {v} --resume --out run", "its own settings: leave out") for v in ("digits", "--method esd", "--seed 3")],
    *[
        (f"train --resume --out run --set {name}={v}", f"another {name} would be another run")
        for name, v in (("batch", 8), ("seed", 3), ("optimizer", "adam"), ("net.hidden", 8), ("method.times", "square"))
    ],
    ("train --resume --out run --set lr=0", "lr must be"),
    ("train --resume --out run --set shares=5", "cannot be cut into 5 equal parts: shares=5 times accumulate=1"),
    ("train --resume --out run --set shares=0", f"shares {COUNT} 0"),
    ("train --resume --out run --steps 1", "a new budget must not end before, got steps=1"),
    ("train --resume --out run --grid-every 1", "--grid-every is for images"),
    *[(f"{c} {v}", "neither a run's folder") for c in ("evaluate", "sample") for v in ("gone", "file", "folder")],
    *[(f"evaluate run --steps {v}", f"--steps {COUNT}") for v in ("0", "-1", "1.5", "x")],
    ("evaluate run --samples 0", f"--samples {COUNT} 0"),
    ("$E --weights file", "--weights is not for Checkerboard: its evaluation takes no weights"),
    *[
        (f"$E --figure {v}", "the ending of --figure must be one of '.png', '.pdf', '.svg'")
        for v in ("file", "x.gone", "folder")
    ],
    ("$E --figure there.png", "--figure there.png is already there; name another file, or remove it"),
    ("$E --figure file/x.png", "the folder of --figure must be a folder: file is a file"),
    ("$E --figure=", "--figure must name a path, got ''"),
    ("$E --ema 0.5", "ema must be one of 0.999; got 0.5"),
    ("$E --problem chess", "the problem must be one of checkerboard"),
    ("$E --problem digits", "--problem has samples of shape (1, 8, 8), run of (2,)"),
    ("sample run --steps 0", f"--steps {COUNT} 0"),
    *[(f"$S --label {v}", "--label") for v in ("1", "x", 2**64)],
    *[(f"$S --guidance {v}", "--guidance") for v in ("2", "nan", "x")],
    ("sample run --out there.npy", "--out there.npy is already there"),
    *[
        (f"sample run --out {v}", "the ending of --out must be one of '.npy', '.csv'; got")
        for v in ("x.png", "x.txt", "x")
    ],
    ("sample run --out file/x.npy", "the folder of --out must be a folder: file is a file"),
    *[(f"table images --{v} 1", f"takes no --{v}") for v in ("minutes", "samples", "methods", "jobs", "out")],
    ("table checkerboard --minutes 0", "--minutes must be positive, got 0.0"),
    ("table checkerboard --methods lsd", "name it with --minutes"),
    *[
        (f"table checkerboard --minutes 1 --methods={v}", "a name in --methods must be one of")
        for v in ("gan", "lsd,", "")
    ],
    ("table checkerboard --minutes 1 --methods lsd,lsd", "--methods names a method twice, got lsd,lsd"),
    ("table checkerboard --jobs 2", "--jobs would be ignored: it belongs to --methods"),
    ("table checkerboard --out x", "--out would be ignored: it belongs to --minutes"),
    ("table checkerboard --minutes 1 --out file", "--out must be a folder: file is a file"),
    ("demo --minutes inf", f"--minutes {FAR} inf"),
    ("demo --out file", "--out must be a folder: file is a file"),
    *[
        (f"demo --out {v}", "holds files that are not a demo's: name another folder with --out")
        for v in ("run", "full")
    ],
    ("lab --port 70000", "--port must be a whole number of at most 65535, got 70000"),
]
LINES = [*WORDS, *OPTIONS, *SETTINGS, *PARTS, *OBJECTS, *PLACES]


def words_of(line: str) -> list[str]:
    """The words of a line, its beginning written out."""
    for short, long in BEGINNINGS.items():
        line = line.replace(short, long)
    return line.split(" ") if line else []

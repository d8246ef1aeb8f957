"""The live figure as a test sees it, in JupyterLab or on a page: its sliders, its canvases, what it computed."""

import torch
from playwright.sync_api import expect

from flowmap_edu.training.runs import load
from flowmap_edu.viz import live

PICTURE = "(c) => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let h = 0;" + (
    " for (const v of d) h = (h * 31 + v) | 0; return h; }"
)


class Figure:
    """Found on the page; `walk_steps` and `walk_times` move it by keys and compare it with torch."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".flow-live").first
        expect(self.root).to_be_attached()
        self.host = self.root.locator("xpath=..")

    def data(self) -> dict[str, str]:
        return self.host.evaluate("(el) => ({ ...el.dataset })")

    def picture(self, which: int) -> int:
        """A number made of every pixel of a canvas."""
        return self.root.locator("canvas").nth(which).evaluate(PICTURE)

    def slider(self, name: str):
        """Found as a screen reader finds it."""
        found = self.root.get_by_role("slider", name=name, exact=True)
        expect(found).to_have_count(1)
        return found

    def settled(self, steps: int) -> dict[str, str]:
        self.page.wait_for_function(
            "([el, n]) => el.dataset.steps === n && el.dataset.settled === 'true'",
            arg=[self.host.element_handle(), str(steps)],
        )
        return self.data()

    def answered(self, s: float, t: float) -> dict[str, str]:
        self.page.wait_for_function(
            "([el, s, t]) => Math.abs(el.dataset.s - s) < 1e-9 && Math.abs(el.dataset.t - t) < 1e-9",
            arg=[self.host.element_handle(), s, t],
        )
        return self.data()

    def walk_steps(self, shown: "live.Live") -> None:
        """1, 2, 16 and 15 jumps by keys: another picture each time, its first point and KL64 those of Python."""
        X, scores = load("checkerboard-lsd"), live.small_map()[1]["large"]["kl64"]
        x0 = torch.frombuffer(bytearray(shown.noise), dtype=torch.float32).reshape(-1, 2)[:1]
        slider, output = self.slider("jumps N"), self.root.locator("output").first
        seen = [self.picture(0)]
        for key, n in (("ArrowRight", 2), ("End", 16), ("ArrowLeft", 15), ("Home", 1)):
            slider.press(key)
            data = self.settled(n)
            landed = X.sample(x0, n)[0].tolist()
            found = [float(a) for a in data["first"].split(",")]
            assert max(abs(a - b) for a, b in zip(found, landed, strict=True)) < 1e-5
            said = f"{n} jump{'s' * (n > 1)}"
            expect(output).to_have_text(f"{said}: KL64 {scores[n - 1]:.4f}")
            expect(slider).to_have_attribute("aria-valuetext", said)
            expect(self.root.get_by_role("img", name=f"{shown.points} points after {said}: ")).to_have_count(1)
            seen.append(self.picture(0))
        assert seen[-1] == seen[0]
        assert len(set(seen)) == len(seen) - 1

    def walk_times(self, shown: "live.Live") -> None:
        """s and t by keys: where the first point lands is X_{s,t}(X_{0,s}(x0)) of the small map, by torch."""
        X = live.small_map()[0]
        x0 = torch.frombuffer(bytearray(shown.noise), dtype=torch.float32).reshape(-1, 2)[:1]
        s, t = self.slider("from s"), self.slider("to t")
        before = self.picture(1)
        for slider, key, times, wanted in (
            (s, "ArrowRight", 1, (0.01, 1.0)),
            (s, "PageUp", 4, (0.41, 1.0)),
            (t, "ArrowLeft", 3, (0.41, 0.97)),
            (t, "Home", 1, (0.0, 0.0)),  # t takes s along
            (s, "End", 1, (1.0, 1.0)),  # and s takes t
        ):
            for _ in range(times):
                slider.press(key)
            data = self.answered(*wanted)
            with torch.no_grad():
                landed = X(wanted[0], wanted[1], X(0.0, wanted[0], x0))[0].tolist()
            found = [float(a) for a in data["landed"].split(",")]
            assert max(abs(a - b) for a, b in zip(found, landed, strict=True)) < 1e-5
            after = self.picture(1)
            assert after != before
            before = after
            said = f"from s = {wanted[0]:.2f} to t = {wanted[1]:.2f}"
            expect(self.root.locator("output").nth(1)).to_have_text(said)
            expect(self.root.get_by_role("img", name=f"carried by the small map {said}")).to_have_count(1)

"""Every Python process with this folder on PYTHONPATH tells through a pipe what training is doing.

Python imports a module of this name when it starts, so the package needs no hook, the command is
the user's own, and the forked jobs of a sweep are watched like the rest. Lines are
``pid phase``, or ``pid saved <job> <iteration> <digest>`` once a checkpoint is there.
"""

import functools
import hashlib
import importlib.abc
import importlib.util
import os
import sys
from pathlib import Path

PIPE = "SR_TESTS_PHASES"
BASE = "start"
PHASES = (BASE, "steps", "validation", "int8", "checkpoint", "report")
MODULE = "sr_experiments.train"  # imported last, so all that it works with is there


def digest(state):
    """Sixteen hexadecimal digits of a state dict's names, shapes and bits."""
    whole = hashlib.sha256()
    for name, value in sorted(state.items()):
        whole.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        whole.update(value.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return whole.hexdigest()[:16]


def say(words):
    pipe = os.open(os.environ[PIPE], os.O_WRONLY)
    os.write(pipe, f"{os.getpid()} {words}\n".encode())  # less than PIPE_BUF: in one piece
    os.close(pipe)


def during(phase, function):
    """Tell of ``phase`` at the beginning, and of the one around it at the end."""

    @functools.wraps(function)
    def told(*args, **kwargs):
        stack.append(phase)
        say(phase)
        try:
            return function(*args, **kwargs)
        finally:
            stack.pop()
            say(stack[-1])

    return told


def saved(function):
    """Tell what a checkpoint holds, read back from its file."""

    @functools.wraps(function)
    def told(self, *args, **kwargs):
        function(self, *args, **kwargs)
        from sr_experiments.training.checkpoint import read_checkpoint

        state = read_checkpoint(Path(self.last))
        job = Path(self.last).parent.parent.name
        say(f"saved {job} {state['iteration']} {digest(state['state_dict'])}")

    return told


def watch():
    from lightning.pytorch.loops.evaluation_loop import _EvaluationLoop
    from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

    from sr_experiments import train
    from sr_experiments.callbacks.checkpoints import Checkpoints
    from sr_experiments.callbacks.int8_drop import Int8Drop
    from sr_experiments.tasks import base

    for owner, name, phase in (
        (_TrainingEpochLoop, "advance", "steps"),
        (_EvaluationLoop, "run", "validation"),
        (Int8Drop, "on_validation_epoch_end", "int8"),
        (base, "ship", "int8"),
        (Checkpoints, "on_train_epoch_end", "checkpoint"),
        (train, "_finish", "report"),
    ):
        function = getattr(owner, name)
        function = saved(function) if phase == "checkpoint" else function
        setattr(owner, name, during(phase, function))
    say(BASE)


class Finder(importlib.abc.MetaPathFinder):
    """Watch as soon as the module is there."""

    def find_spec(self, name, path=None, target=None):
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def load_and_watch(module):
            load(module)
            watch()

        spec.loader.exec_module = load_and_watch
        return spec


stack = [BASE]
if PIPE in os.environ:
    sys.meta_path.insert(0, Finder())

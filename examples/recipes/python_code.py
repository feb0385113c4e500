"""Of Python files: modules with keys left in them, and questions that their docstrings answer."""

import ast
import random
import warnings
from collections.abc import Iterator

KEY_CHARACTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
MIN_ANSWER_CHARS = 80  # a shorter docstring says little more than the name


def settings_module(chance: random.Random) -> tuple[str, tuple[str, ...]]:
    """A module with three secrets that nobody ever had, and these."""

    def drawn(num: int) -> str:
        return "".join(chance.choices(KEY_CHARACTERS, k=num))

    secrets = (f"ghp_{drawn(36)}", drawn(32), drawn(24))
    name = f"service_{chance.randint(10, 9999)}"
    text = f'''"""Connects to {name}, and says how often it is asked."""

import os

# Moved here from the deployment scripts; each of them should have come from the environment.
DEPLOY_TOKEN = "{secrets[0]}"
api_key = "{secrets[1]}"
password = "{secrets[2]}"
REQUESTS_PER_MINUTE = int(os.environ.get("{name.upper()}_RATE", "{chance.randint(5, 600)}"))


def seconds_between_requests() -> float:
    """How long to wait from one request to {name} to the next."""
    return 60 / REQUESTS_PER_MINUTE
'''
    return text, secrets


def settings_modules(num: int, seed: int) -> list[tuple[str, tuple[str, ...]]]:
    """The same ones for the same seed."""
    chance = random.Random(f"settings {seed}")
    return [settings_module(chance) for _ in range(num)]


def questions(code: str) -> Iterator[tuple[str, str]]:
    """Prompt and completion for each function with a docstring; none of what does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old string escapes in other people's code
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            answer = ast.get_docstring(node) or ""
            if len(answer) >= MIN_ANSWER_CHARS:
                signature = f"def {node.name}({ast.unparse(node.args)}):"
                yield f"What does this Python function do?\n\n{signature}\n\nAnswer: ", answer

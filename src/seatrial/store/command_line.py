"""The `seatrial` command line that gives a result again, from the values it was made with."""


def write_words(verb: str, *arguments: object, **options: object) -> list[str]:
    """`seatrial VERB ARGUMENT… --option value…`, as words.

    Args:
        options: None and False are left out, True has no value, a tuple becomes `1,4,8`, and a list repeats its option.
    """
    words = ["seatrial", verb, *map(str, arguments)]
    for name, value in options.items():
        if isinstance(value, bool):
            words += [f"--{name.replace('_', '-')}"] if value else []
            continue
        for one in value if isinstance(value, list) else [] if value is None else [value]:
            text = ",".join(map(str, one)) if isinstance(one, tuple) else f"{one:g}" if isinstance(one, float) else one
            words += [f"--{name.replace('_', '-')}", str(text)]
    return words

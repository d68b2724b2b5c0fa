def test_files_without_a_trap_have_no_errors(plain, trapped, validator_errors):
    looks = {}
    for made in (plain, trapped):
        for row in made.truth:
            if not row["traps"]:
                looks[row["maker"], row["laterality"], row["view"]] = made.folder / row["file"]
    assert len(looks) >= 12
    for path in looks.values():
        assert validator_errors(path) == [], path


def test_trapped_files_have_only_the_errors_that_the_trap_explains(trapped, validator_errors):
    seen = set()
    for row in trapped.truth:
        if row["traps"]:
            allowed = [part for part in row["allowed_errors"].split("|") if part]
            errors = validator_errors(trapped.folder / row["file"])
            assert [e for e in errors if not any(part in e for part in allowed)] == [], (row["image_id"], row["traps"])
            seen |= {part for part in allowed if any(part in e for e in errors)}
    assert seen == {part for row in trapped.truth for part in row["allowed_errors"].split("|") if part}


def test_the_validator_does_find_faults(trapped, validator_errors, tmp_path):
    broken = tmp_path / "broken.dcm"
    data = (trapped.folder / trapped.truth[0]["file"]).read_bytes()
    broken.write_bytes(data.replace(b"FOR PRESENTATION", b"FOR NOTHING AT A"))
    assert validator_errors(broken)

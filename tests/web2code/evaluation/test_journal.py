"""What is done already, after a kill."""

import resource

from web2code.evaluation.journal import Journal


def test_half_a_line_is_cut_off_without_writing_the_others_again(tmp_path):
    path = tmp_path / "answers.jsonl"
    journal = Journal(path)
    for number in range(100):
        journal.add(str(number), text="word " * 100)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key": "100", "te')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2, hard))  # as a disk that is full
    try:
        again = Journal(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert again.entries == journal.entries
    assert path.read_bytes() == whole
    again.add("100", text="more")
    assert Journal(path)["100"]["text"] == "more"

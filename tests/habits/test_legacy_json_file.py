"""The legacy file as a file: what is refused, what a crash leaves behind, who waits for whom."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from habits.stores import json_file, json_index
from habits.stores.json_file import FileChangedError, LegacyFileError, current_version, locked, opened, rewriting
from habits.stores.json_index import FileIndex
from habits.stores.json_rewrite import Rewrite, apply
from habits.stores.legacy_json import LegacyJsonStore
from migration_ops.exceptions import UnusableInput

ROWS = [{"id": number, "theme": "before" * 50} for number in range(1, 201)]

ADD = """
import sys
from pathlib import Path
from habits.stores.json_file import rewriting
from habits.stores.json_index import FileIndex
from habits.stores.json_rewrite import Rewrite, apply

path, folder, first, times = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
index = FileIndex(path, folder)
for number in range(first, first + times):
    with rewriting(path) as target, index.snapshot() as snapshot:
        first_row = next(snapshot.entries("ordinal = 1"))
        changed = [(first_row, '{"id": 1, "theme": "after"}')]
        apply(Rewrite(changed=changed, added=['{"id": %d}' % number]), snapshot, index, target)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps({"records": ROWS, "kept": True}), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def process(program: str, *arguments: object, failpoint: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "MIGRATION_OPS_FAILPOINT": failpoint},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def add(path: Path, folder: Path, number: int) -> None:
    done = process(ADD, path, folder, number, 1)
    _, errors = done.communicate(timeout=60)
    assert done.returncode == 0, errors


def content(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def beside(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.iterdir() if found.is_file())


def change(path: Path, folder: Path, *, patience: timedelta = timedelta(seconds=5)) -> None:
    index = FileIndex(path, folder)
    with rewriting(path, patience=patience) as target, index.snapshot() as snapshot:
        entry = next(snapshot.entries("ordinal = 2"))
        apply(Rewrite(changed=[(entry, '{"id": 2}')]), snapshot, index, target)


@pytest.mark.parametrize("label", ["legacy_json.writing", "legacy_json.written", "legacy_json.replaced"])
def test_a_writer_killed_at_any_moment_leaves_the_old_file_or_the_new_one(path: Path, folder: Path, label: str) -> None:
    before = path.read_bytes()
    killed = process(ADD, path, folder, 1_000, 1, failpoint=label)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    if label == "legacy_json.replaced":
        after = content(path)
        assert after["records"][0] == {"id": 1, "theme": "after"}
        assert after["records"][1:] == [*ROWS[1:], {"id": 1_000}]
    else:
        assert path.read_bytes() == before
    add(path, folder, 2_000)
    assert content(path)["records"][-1] == {"id": 2_000}
    assert beside(path) == ["rows.json"]


def test_writers_at_the_same_time_lose_nothing(path: Path, folder: Path) -> None:
    writers = [process(ADD, path, folder, 1_000 * number, 12) for number in (1, 2, 3)]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors
    written = [record["id"] for record in content(path)["records"]]
    assert sorted(written) == [*range(1, 201), *(1_000 * n + k for n in (1, 2, 3) for k in range(12))]


def test_a_full_disk_leaves_the_file_as_it_was(path: Path, folder: Path) -> None:
    before = path.read_bytes()
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from habits.stores.json_file import LegacyFileError, rewriting\n"
        "from habits.stores.json_index import FileIndex\n"
        "from habits.stores.json_rewrite import Rewrite, apply\n"
        "path = Path(sys.argv[1])\n"
        "index = FileIndex(path, Path(sys.argv[2]))\n"
        "with rewriting(path) as target, index.snapshot() as snapshot:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2,) * 2)\n"
        "    try:\n"
        "        apply(Rewrite(added=['{}']), snapshot, index, target)\n"
        "    except LegacyFileError as error:\n"
        "        sys.exit(str(error))\n"
    )
    done = process(program, path, folder)
    _, errors = done.communicate(timeout=60)
    assert done.returncode == 1
    assert "cannot be replaced: File too large. It is as it was." in errors
    assert path.read_bytes() == before
    assert beside(path) == ["rows.json"]


def test_a_folder_that_cannot_be_written_is_named(path: Path, folder: Path) -> None:
    before = path.read_bytes()
    change(path, folder)
    path.write_bytes(before)
    draft = json_file.draft_of(path)
    draft.mkdir()
    with pytest.raises(LegacyFileError, match="cannot be replaced"):
        change(path, folder)
    assert path.read_bytes() == before


def test_a_held_lock_is_waited_for_and_not_forever(path: Path, folder: Path) -> None:
    before = path.read_bytes()
    with locked(path.parent), pytest.raises(LegacyFileError, match=r"holds the lock .* for more than 0.05 s"):
        change(path, folder, patience=timedelta(milliseconds=50))
    assert path.read_bytes() == before
    change(path, folder, patience=timedelta(milliseconds=50))


def test_rights_and_links_stay(path: Path, folder: Path, tmp_path: Path) -> None:
    path.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    change(link, folder)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert content(path)["records"][1] == {"id": 2}
    assert content(path)["kept"] is True


def test_a_reader_that_began_before_reads_the_old_file_to_its_end(path: Path, folder: Path) -> None:
    index = FileIndex(path, folder)
    with index.snapshot() as snapshot:
        change(path, folder)
        texts = [json.loads(snapshot.text(entry)) for entry in snapshot.entries("true ORDER BY ordinal")]
    assert texts == ROWS


@pytest.mark.parametrize("in_place", [True, False])
def test_what_somebody_else_wrote_during_a_rewrite_is_not_overwritten(path: Path, folder: Path, in_place: bool) -> None:
    index = FileIndex(path, folder)
    other = path if in_place else path.with_name("other.json")
    with rewriting(path) as target, index.snapshot() as snapshot:
        other.write_text('[{"id": 7}]', encoding="utf-8")
        other.rename(path)
        with pytest.raises(FileChangedError):
            apply(Rewrite(added=["{}"]), snapshot, index, target)
    assert content(path) == [{"id": 7}]
    assert beside(path) == ["rows.json"]


def test_an_index_that_cannot_be_opened_is_built_anew_or_named(path: Path, folder: Path) -> None:
    """As when another process discards it between two looks."""
    index = FileIndex(path, folder)
    with index.snapshot() as snapshot:
        assert snapshot.number("SELECT count(*) FROM record") == 200
    (file,) = folder.glob("*.sqlite3")
    file.unlink()
    file.mkdir()
    with pytest.raises(LegacyFileError, match="cannot be written"), index.snapshot():
        pass


def test_a_written_file_counts_even_if_its_index_cannot_follow(
    path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = FileIndex(path, folder)
    with rewriting(path) as target, index.snapshot() as snapshot:
        (draft,) = (found.with_suffix(".building") for found in folder.glob("*.lock"))
        draft.mkdir()
        apply(Rewrite(added=["{}"]), snapshot, index, target)
    assert "could not follow" in caplog.text
    assert content(path)["records"][-1] == {}
    draft.rmdir()
    with index.snapshot() as snapshot:
        assert snapshot.number("SELECT count(*) FROM record") == 201


def test_a_file_replaced_while_it_is_read_is_read_again(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replacements = iter([[{"id": 10}], [{"id": 20}, {"id": 21}]])
    describe = json_index.describe

    def replace_then_describe(record: Any) -> Any:
        for rows in replacements:
            other = path.with_name("other.json")
            other.write_text(json.dumps(rows), encoding="utf-8")
            other.rename(path)
            break
        return describe(record)

    monkeypatch.setattr(json_index, "describe", replace_then_describe)
    with FileIndex(path, folder).snapshot() as snapshot:
        assert [entry.row for entry in snapshot.entries("true ORDER BY position")] == ["20", "21"]


def test_a_file_that_never_rests_is_given_up(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    describe = json_index.describe

    def touch_then_describe(record: Any) -> Any:
        os.utime(path)
        return describe(record)

    monkeypatch.setattr(json_index, "describe", touch_then_describe)
    with pytest.raises(LegacyFileError, match="was changed 5 times"), FileIndex(path, folder).snapshot():
        pytest.fail("There is nothing to read.")


def test_a_file_that_is_being_written_in_place_is_not_called_broken(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    describe = json_index.describe

    def complete_then_describe(record: Any) -> Any:
        if path.stat().st_size < len(whole):
            path.write_bytes(whole)
        return describe(record)

    monkeypatch.setattr(json_index, "describe", complete_then_describe)
    with FileIndex(path, folder).snapshot() as snapshot:
        assert snapshot.number("SELECT count(*) FROM record") == len(ROWS)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def test_what_is_no_file_is_refused_by_name_and_never_waited_for(short_folder: Path) -> None:
    os.mkfifo(short_folder / "pipe")
    (short_folder / "folder").mkdir()
    (short_folder / "loop").symlink_to("loop")
    (short_folder / "nowhere").symlink_to("missing")
    (short_folder / "file").write_text("[]", encoding="utf-8")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_folder / "socket"))
        for name, words in {
            "pipe": "is a named pipe",
            "folder": "is a folder",
            "socket": "is a socket",
            "loop": "cannot be opened: Too many levels of symbolic links",
            "nowhere": "does not exist",
            "missing": "does not exist",
            "file/below": "cannot be opened: Not a directory",
            "x" * 300: "cannot be opened: File name too long",
            "nul\0": "is no path of a file",
            "/dev/zero": "is a device",
        }.items():
            path = short_folder / name
            for attempt in (lambda path=path: opened(path).__enter__(), lambda path=path: current_version(path)):
                with pytest.raises(UnusableInput) as refused:
                    attempt()
                assert words in str(refused.value)
    with pytest.raises(UnusableInput, match="LEGACY_JSON_PATH"):
        LegacyJsonStore("")


def test_who_may_not_read_or_write_is_told_so(short_folder: Path, path: Path) -> None:
    short_folder.chmod(0o755)
    for name, mode in {"secret.json": 0o600, "open.json": 0o644}.items():
        (short_folder / name).write_bytes(path.read_bytes())
        (short_folder / name).chmod(mode if name == "open.json" else 0o000)
    spool = short_folder / "spool"
    spool.mkdir(mode=0o777)
    spool.chmod(0o777)
    short_folder.chmod(0o555)
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from habits.stores.json_file import current_version, opened, rewriting\n"
        "from habits.stores.json_index import FileIndex\n"
        "from habits.stores.json_rewrite import Rewrite, apply\n"
        "from migration_ops.exceptions import MigrationOpsError\n"
        "if os.geteuid() == 0:\n"
        "    os.setuid(65534)\n"
        "folder = Path(sys.argv[1])\n"
        "try:\n"
        "    opened(folder / 'secret.json').__enter__()\n"
        "except MigrationOpsError as error:\n"
        "    print(error.exit_code, error)\n"
        "index = FileIndex(folder / 'open.json', folder / 'spool')\n"
        "with rewriting(folder / 'open.json') as target, index.snapshot() as snapshot:\n"
        "    print(snapshot.number('SELECT count(*) FROM record'))\n"
        "    try:\n"
        "        apply(Rewrite(added=['{}']), snapshot, index, target)\n"
        "    except MigrationOpsError as error:\n"
        "        print(error.exit_code, error)\n"
    )
    done = process(program, short_folder)
    output, errors = done.communicate(timeout=60)
    short_folder.chmod(0o755)
    assert done.returncode == 0, errors
    secret, count, written = output.splitlines()
    assert secret.startswith("2 ")
    assert "may not be read by this user" in secret
    assert count == "200"
    assert written.startswith("1 ")
    assert "cannot be replaced: Permission denied. It is as it was." in written
    assert beside(short_folder / "x") == ["open.json", "secret.json"]

"""A machine with Ascend NPUs that is none: emulators on PATH and PYTHONPATH, and CANN's variables around them."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

EMULATORS = Path(__file__).parent / "emulators"
MODULES = ("ais_bench", "aclruntime", "emulated_")


@contextmanager
def emulate_ascend(folder: Path, chips: str = "310P3", cann: str = "8.0.RC1") -> Iterator[pytest.MonkeyPatch]:
    """Pretend that this machine has these chips; CANN's own files go to `folder`."""
    home = folder / "ascend-toolkit"
    (home / "x86_64-linux").mkdir(parents=True)
    (home / "opp").mkdir()
    (home / "lib64").mkdir()
    (home / "lib64" / "libascendcl.so").touch()
    (home / "x86_64-linux" / "ascend_toolkit_install.info").write_text(
        f"package_name=Ascend-cann-toolkit\nversion={cann}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EMULATORS))
        patch.setenv("PYTHONPATH", str(EMULATORS), prepend=os.pathsep)
        # The emulators run in the Python that runs the tests.
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        patch.setenv("PATH", str(EMULATORS / "bin"), prepend=os.pathsep)
        patch.setenv("LD_LIBRARY_PATH", str(home / "lib64"))
        patch.setenv("ASCEND_HOME_PATH", str(home))
        patch.setenv("ASCEND_OPP_PATH", str(home / "opp"))
        patch.setenv("EMULATED_NPUS", chips)
        # Logs of failed builds go where pytest cleans up.
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", None)
        yield patch
    forget_modules()


def forget_modules() -> None:
    """Let the SDK's packages be looked for anew."""
    for name in [name for name in sys.modules if name.startswith(MODULES)]:
        del sys.modules[name]

"""A folder that one fit at a time works in: a file that the system locks."""

import contextlib
import os
import sys

# It is emptied and removed: no name that a file of the user may have.
_NAME = "checkpoint.lock"

# Far behind what is written, since Windows lets nobody read a locked byte.
_LOCKED_BYTE = 2**30


class FolderLock:
    """Lock of a folder, which ends with the process at the latest.

    The system drops it when the process is gone, however that came about, so there are no locks
    of processes that are dead. It holds against threads of the same process, too.

    Parameters
    ----------
    folder : str
    """

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, _NAME)
        self.descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock; False where somebody has it."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                if not _try_lock(descriptor):
                    os.close(descriptor)
                    return False
                if _is_at(descriptor, self.path):
                    break
            except BaseException:
                os.close(descriptor)
                raise
            # Whoever had it has removed the file meanwhile: what is locked is no longer there.
            os.close(descriptor)
        self.descriptor = descriptor
        with contextlib.suppress(OSError):  # a full disk is no reason not to train
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
        return True

    def release(self) -> None:
        """Give the lock back and remove its file."""
        if self.descriptor is None:
            return
        with contextlib.suppress(OSError):  # Windows removes no open file
            os.unlink(self.path)
        os.close(self.descriptor)
        self.descriptor = None

    def owner(self) -> str:
        """Who has the lock, for a message."""
        try:
            with open(self.path, encoding="ascii") as file:
                return f"process {int(file.read(20))}"
        except (OSError, ValueError):
            return "another process"


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

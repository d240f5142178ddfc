"""Just enough of torch for mosaicml-streaming in one process, where torch itself is not installed.

Its wheels are over 500 MB and want CUDA's libraries besides. A data set that is read by one process
uses them for a base class and for asking whether there are other processes; all other names are
there to be imported and nothing else. What stands between a data set and S3 is not replaced.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types

REPLACED = ("torch", "torchvision", "transformers")


class IterableDataset:
    pass


GIVEN = {
    "torch.distributed": {"is_available": lambda: False, "is_initialized": lambda: False},
    "torch.cuda": {"is_available": lambda: False},
    "torch.utils.data": {"IterableDataset": IterableDataset, "get_worker_info": lambda: None},
}


class Module(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        whole = "%s.%s" % (self.__name__, name)
        if any(given == whole or given.startswith(whole + ".") for given in GIVEN):
            return importlib.import_module(whole)
        # A class for annotations and for being inherited from.
        found = type(name, (), {})
        setattr(self, name, found)
        return found


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in REPLACED:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return Module(spec.name)

    def exec_module(self, module):
        vars(module).update(GIVEN.get(module.__name__, {}))
        module.__version__ = "0"


def install():
    """Puts the stand-in where imports look; True if torch itself is there and stays."""
    if importlib.machinery.PathFinder.find_spec("torch"):
        return True
    sys.meta_path.insert(0, Finder())
    return False

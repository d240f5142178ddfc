"""Folders that client programs store and bring back."""

import filecmp
import os
import shutil

from s3_gateway import MIB, expect, random_bytes


def tree(g, name):
    """Makes a folder with files of several sizes, and names that need quoting."""
    folder = g.path(name)
    os.makedirs(os.path.join(folder, "sub"))
    for index, size in enumerate((0, 1, 70_000, 3 * MIB, 12 * MIB)):
        g.path("%s/sub/file %d ü" % (name, index), random_bytes(size, index))
    return folder


def files_of(folder):
    """The paths of the files of a folder, by their names in it."""
    return {
        os.path.relpath(os.path.join(root, name), folder): os.path.join(root, name)
        for root, _, names in os.walk(folder) for name in names}


def same(first, second):
    """Whether two folders hold the same files with the same bytes."""
    found = files_of(first), files_of(second)
    return found[0].keys() == found[1].keys() and all(
        filecmp.cmp(path, found[1][name], shallow=False) for name, path in found[0].items())


def listed(g, prefix):
    """The objects of the run's bucket under a prefix."""
    pages = g.s3.get_paginator("list_objects_v2").paginate(Bucket=g.bucket, Prefix=prefix)
    return [entry for page in pages for entry in page.get("Contents", [])]


def needs(program):
    path = shutil.which(program)
    expect(bool(path), True, "%s is installed (`make deps`)" % program)
    return path

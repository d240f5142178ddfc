internal import CyxClient
internal import CyxCore
internal import Glibc

/// Which files of a folder to take: glob patterns against the path below it and against the name.
struct FileFilter: Sendable {
    var include: [String]
    var exclude: [String]

    func takes(_ path: String) -> Bool {
        let name = String(path.split(separator: "/").last ?? "")
        func matches(_ pattern: String) -> Bool {
            fnmatch(pattern, path, 0) == 0 || fnmatch(pattern, name, 0) == 0
        }
        return (include.isEmpty || include.contains(where: matches))
            && !exclude.contains(where: matches)
    }
}

/// A file to store, and the key that it gets.
struct LocalFile: Sendable, Equatable {
    /// The most files of one command.
    static let limit = 1_000_000
    static let depthLimit = 64

    var path: String
    var key: String
    var size: UInt64

    /// The file at `path`, or all files in the folder there; keys of the latter begin with the
    /// folder's name. Symbolic links are passed over inside folders.
    static func collect(
        _ path: String, prefix: String, _ filter: FileFilter
    ) throws(ClientError) -> [LocalFile] {
        var info = stat()
        guard stat(path, &info) == 0 else {
            throw ClientError(
                code: "FILE-01", message: "cannot read \(path)", cause: SystemError.words(errno))
        }
        var trimmed = path
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        let name = String(trimmed.split(separator: "/").last ?? "")
        guard info.st_mode & S_IFMT == S_IFDIR else {
            return [LocalFile(path: path, key: prefix + name, size: UInt64(info.st_size))]
        }
        let isNamed = name != "." && name != ".." && !name.isEmpty
        var files: [LocalFile] = []
        try walk(trimmed, below: "", depth: 0, filter, into: &files) { below in
            prefix + (isNamed ? name + "/" : "") + below
        }
        return files
    }

    private static func walk(
        _ folder: String, below: String, depth: Int, _ filter: FileFilter,
        into files: inout [LocalFile], key: (String) -> String
    ) throws(ClientError) {
        guard depth < depthLimit else {
            throw ClientError(code: "FILE-04", message: "\(folder) is nested too deep")
        }
        for name in try names(in: folder) {
            let path = folder + "/" + name
            let relative = below.isEmpty ? name : below + "/" + name
            var info = stat()
            guard lstat(path, &info) == 0 else { continue }
            switch info.st_mode & S_IFMT {
            case S_IFDIR:
                try walk(path, below: relative, depth: depth + 1, filter, into: &files, key: key)
            case S_IFREG where filter.takes(relative):
                guard files.count < limit else {
                    throw ClientError(
                        code: "FILE-05", message: "more than \(limit) files in one command",
                        remedy: "upload the folders in it one by one")
                }
                files.append(
                    LocalFile(path: path, key: key(relative), size: UInt64(info.st_size)))
            default: break
            }
        }
    }

    private static func names(in folder: String) throws(ClientError) -> [String] {
        guard let directory = opendir(folder) else {
            throw ClientError(
                code: "FILE-01", message: "cannot read \(folder)", cause: SystemError.words(errno))
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}

internal import Glibc

/// A new, empty directory below `TMPDIR`, which should lie on the disk that is asked about.
struct ScratchDirectory {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    let path: String

    init() throws(Failure) {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        // mkdtemp(3) replaces the six letters.
        var template = Array("\(parent)/cyxbench-\(String(repeating: "X", count: 6))".utf8CString)
        guard let made = mkdtemp(&template) else {
            let reason = String(cString: strerror(errno))
            throw Failure(
                description: "cannot make a directory in \(parent) (\(reason)): set TMPDIR")
        }
        path = String(cString: made)
    }

    /// Removes it and all that is in it.
    func remove() { removeTree(path) }
}

/// Removes a directory and all that is in it.
func removeTree(_ path: String) {
    if let directory = opendir(path) {
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { removeTree("\(path)/\(name)") }
        }
        closedir(directory)
    }
    remove(path)
}

import Glibc

/// This program once more, with other arguments.
struct ChildProcess {
    let id: pid_t

    /// Starts it; nil, and a line that says why, if that cannot be done. `output`: the file that its
    /// standard output goes to, and its standard error nowhere; nil: both go where this process's go.
    static func start(_ arguments: [String], output: String? = nil) -> ChildProcess? {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let output {
            posix_spawn_file_actions_addopen(
                &actions, STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
            posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
        }
        var words = (["simulate"] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var child: pid_t = 0
        let result = posix_spawn(&child, "/proc/self/exe", &actions, nil, &words, environ)
        guard result == 0 else {
            print("simulate: cannot start another process: error \(result)")
            return nil
        }
        return ChildProcess(id: child)
    }

    /// Waits for any of those that run; returns which one ended, and whether with 0.
    static func wait() -> (id: pid_t, passed: Bool)? {
        var status: Int32 = 0
        let child = waitpid(-1, &status, 0)
        return child > 0 ? (child, status == 0) : nil
    }

    /// One for each core.
    static var defaultCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}

internal import CyxClient
internal import CyxCore
internal import Glibc

/// One `cyxpeer` that the devnet started and will stop.
struct PeerProcess {
    let index: Int
    let folder: String
    let pid: pid_t
    /// What `waitpid` said; nil while it runs.
    private(set) var waitStatus: Int32?

    /// Starts the program, with its output in `folder/log` and its ID in `folder/pid`.
    ///
    /// The peer gets a process group of its own: Ctrl-C on the terminal reaches the devnet alone,
    /// which then stops the peers in order.
    init(
        index: Int, folder: String, arguments: [String], environment: [String: String]
    ) throws(ClientError) {
        self.index = index
        self.folder = folder
        for name in ["listen", "admin", "s3"] { unlink(folder + "/" + name) }  // of the last run
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let flags = O_WRONLY | O_CREAT | O_APPEND
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, folder + "/log", flags, 0o600)
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        var defaults = sigset_t()
        sigemptyset(&defaults)
        sigaddset(&defaults, SIGPIPE)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
        var pid: pid_t = 0
        let code = Self.withCStrings(arguments) { argv in
            Self.withCStrings(environment.map { "\($0.key)=\($0.value)" }.sorted()) { envp in
                posix_spawn(&pid, arguments[0], &actions, &attributes, argv, envp)
            }
        }
        guard code == 0 else {
            throw ClientError(
                code: "DEVNET-01", message: "cannot start \(arguments[0])",
                cause: SystemError.words(code))
        }
        self.pid = pid
        try SmallFile.write("\(pid)\n", to: folder + "/pid")
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = strings.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }

    var isRunning: Bool { waitStatus == nil }

    /// Looks whether it has ended, once it has; true if that is news.
    mutating func reap() -> Bool {
        guard isRunning else { return false }
        var status: Int32 = 0
        guard waitpid(pid, &status, WNOHANG) == pid else { return false }
        waitStatus = status
        return true
    }

    func send(_ signal: Int32) {
        if isRunning { kill(pid, signal) }
    }

    /// How it ended, in words.
    var ending: String {
        guard let waitStatus else { return "runs" }
        let signal = waitStatus & 0x7f
        return signal == 0
            ? "ended with exit code \(waitStatus >> 8 & 0xff)"
            : "was killed by signal \(signal)"
    }

    /// The process that a former devnet left behind in this folder, if it still runs.
    static func leftover(in folder: String) -> pid_t? {
        guard let pid = SmallFile.read(folder + "/pid").flatMap(pid_t.init), pid > 1,
            let command = SmallFile.read("/proc/\(pid)/cmdline"),
            command.split(separator: "\0").contains(where: { $0 == folder })
        else { return nil }
        return pid
    }
}

internal import CyxClient
internal import CyxCore
internal import Glibc

/// `cyxcloud`: the command line of a CyxCloud network. Exit code 0 done, 1 failed, 2 usage.
@main
struct CyxCloudProgram {
    static func main() {
        // A closed pipe or connection is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        exit(run(Array(CommandLine.arguments.dropFirst())))
    }

    static func run(_ words: [String]) -> Int32 {
        var words = words.map { $0 == "-r" ? "--recursive" : $0 == "-h" ? "--help" : $0 }
        guard let first = words.first, first != "help", first != "--help" else {
            StandardStream.output.write(Command.overview)
            return 0
        }
        guard let command = Command.find(&words) else {
            let hint = nearest(to: first, among: Command.names)
            return usage(
                "no command is called `\(first)`" + (hint.map { "; did you mean `\($0)`?" } ?? ""),
                help: "cyxcloud help")
        }
        let help = "\(command.spec.name) --help"
        if words.contains("--help") {
            StandardStream.output.write(command.spec.helpText)
            return 0
        }
        do {
            let parsed = try command.spec.parse(words)
            let console = Console(parsed)
            do {
                try command.run(parsed, console)
                return console.hasFailed ? 1 : 0
            } catch let error as ClientError {
                console.fail(error)
                return 1
            } catch let error as SystemError {
                console.fail(ClientError(code: "SYS-01", message: error.description))
                return 1
            }
        } catch let error as UsageError {
            return usage(error.message, help: help)
        } catch {
            return usage("\(error)", help: help)
        }
    }

    private static func usage(_ message: String, help: String) -> Int32 {
        StandardStream.error.write("error USAGE: \(message)\n  try:   \(help)\n")
        return 2
    }
}

internal import CyxPeerProcess

/// Exit codes: 0 done, 1 failed, 2 wrong command line or settings.
@main
struct CyxPeerProgram {
    static func main() {
        PeerProcess.run(Array(CommandLine.arguments.dropFirst()))
    }
}

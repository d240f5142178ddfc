internal import CyxPeerProcess
internal import Glibc

/// `lyingpeer ORDERS …`: a `cyxpeer`, with its flags, which lies to readers of its shards while the
/// file ORDERS names a `Lie`. For the end-to-end tests; it is not installed.
@main
struct LyingPeerProgram {
    static func main() {
        var words = CommandLine.arguments.dropFirst()
        guard let orders = words.popFirst(), !orders.hasPrefix("-") else {
            let usage = Array("usage: lyingpeer ORDERS [flags of cyxpeer]\n".utf8)
            _ = write(STDERR_FILENO, usage, usage.count)
            exit(2)
        }
        PeerProcess.run(Array(words)) { LyingMessaging($0, orders: orders) }
    }
}

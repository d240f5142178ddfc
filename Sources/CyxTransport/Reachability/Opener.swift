package import CyxCore

/// A small datagram that opens the sender's NAT for the receiver and shows, by a token that the
/// receiver made, that it comes from the peer that was meant: `0x20 ‖ token 16`. The top bits tell
/// it from packets of connections (RFC 7983 keeps protocols on one port apart in the same way).
package struct Opener: Hashable, Sendable {
    package static let byteCount = 17
    private static let type: UInt8 = 0b0010_0000

    /// 16 bytes that cannot be guessed.
    package struct Token: Hashable, Sendable {
        package static let byteCount = 16
        private var high: UInt64
        private var low: UInt64

        package init?(bytes: [UInt8]) {
            guard bytes.count == Token.byteCount else { return nil }
            high = bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
            low = bytes[8...].reduce(0) { $0 << 8 | UInt64($1) }
        }

        package init(random: any RandomSource) {
            high = random.next()
            low = random.next()
        }

        package var bytes: [UInt8] {
            [high, low].flatMap { word in
                (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) }
            }
        }
    }

    package var token: Token

    package init(token: Token) { self.token = token }

    package var bytes: [UInt8] { [Opener.type] + token.bytes }

    /// Nil for anything else than an opener.
    init?(_ datagram: UnsafeRawBufferPointer) {
        guard datagram.count == Opener.byteCount, datagram[0] == Opener.type,
            let token = Token(bytes: [UInt8](datagram[1...]))
        else { return nil }
        self.token = token
    }
}

extension Endpoint {
    /// Openers kept until the batch they came with has been worked on.
    static let openersMax = 64

    mutating func handleOpener(_ opener: Opener, from source: SocketAddress) {
        guard openers.count < Endpoint.openersMax else { return }
        openers.append((source, opener))
    }
}

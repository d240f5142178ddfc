package import CyxCore
internal import CyxHTTPShims
internal import Glibc

/// A certificate that cannot be used, in words for who provides it.
package struct TLSProblem: Error, Equatable, CustomStringConvertible {
    package var description: String
}

/// The certificate chain and the key that a server shows its clients.
package final class TLSIdentity: Sendable {
    private static let wordsCapacity = 256

    /// Counted on the other side; never written through here.
    nonisolated(unsafe) let handle: OpaquePointer
    /// SHA-256 of the server's own certificate.
    package let fingerprint: [UInt8]
    /// From when and until when that certificate is valid.
    package let validity: ClosedRange<WallTime>

    /// Reads a chain, the server's own certificate first, and its key, both PEM.
    package init(chain: [UInt8], key: [UInt8]) throws(TLSProblem) {
        var words = [CChar](repeating: 0, count: TLSIdentity.wordsCapacity)
        guard
            let handle = cyx_tls_load(
                chain, chain.count, key, key.count, &words, words.count)
        else { throw TLSProblem(description: TLSIdentity.text(words)) }
        var digest = [UInt8](repeating: 0, count: 32)
        cyx_tls_fingerprint(handle, &digest)
        var from: Int64 = 0
        var until: Int64 = 0
        cyx_tls_validity(handle, &from, &until)
        self.handle = handle
        fingerprint = digest
        validity = TLSIdentity.time(from)...TLSIdentity.time(max(from, until))
    }

    deinit { cyx_tls_release(handle) }

    /// Whether the server's own certificate is one for that name or address; `*.` is compared as it
    /// stands.
    package func isFor(_ name: String) -> Bool { cyx_tls_is_for(handle, name) != 0 }

    private static func time(_ seconds: Int64) -> WallTime {
        // Certificates that never end say so with a year far away (RFC 5280 §4.1.2.5).
        WallTime(milliseconds: min(max(0, seconds), 1 << 40) * 1000)
    }

    private static func text(_ words: [CChar]) -> String {
        String(decoding: words.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    // MARK: One of one's own making

    private static let pemCapacity = 8 << 10

    /// PEM of a new P-256 key and of a certificate that it signs itself, for names and addresses.
    package static func selfSigned(
        for names: [String], during validity: ClosedRange<WallTime>
    ) throws(TLSProblem) -> (chain: String, key: String) {
        var chain = [CChar](repeating: 0, count: pemCapacity)
        var key = chain
        let copies = names.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        let pointers = copies.map { UnsafePointer<CChar>($0) }
        let code = cyx_tls_make(
            pointers, pointers.count, validity.lowerBound.milliseconds / 1000,
            validity.upperBound.milliseconds / 1000, &chain, chain.count, &key, key.count)
        guard code == 0 else {
            throw TLSProblem(
                description: "no certificate could be made: " + String(cString: cyx_tls_words(code))
            )
        }
        return (text(chain), text(key))
    }
}

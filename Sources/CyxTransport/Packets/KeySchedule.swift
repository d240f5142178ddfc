internal import CyxCrypto

/// HKDF-Expand-Label of RFC 8446 §7.1 under our own label prefix (decisions.md §D).
struct KeySchedule: Sendable {
    static let prefix = "cyx1 "

    var prefix = KeySchedule.prefix

    /// `count` bytes for `label` from a 32-byte secret, with an empty context.
    func expand(_ secret: [UInt8], _ label: String, count: Int) -> [UInt8] {
        HKDF.expandLabel(key: secret, prefix: prefix, label: label, count: count)
    }
}

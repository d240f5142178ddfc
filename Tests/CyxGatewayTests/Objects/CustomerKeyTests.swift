import CyxCore
import CyxCrypto
import CyxHTTP
import CyxObjects
import Testing

@testable import CyxGateway

/// Runs work at once.
private final class Inline: BlockingPool {
    func submit(_ work: @escaping @Sendable () -> Void) { work() }
}

private final class Counting: RandomSource {
    func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        for index in buffer.indices { buffer[index] = UInt8(truncatingIfNeeded: index) }
    }
}

@Suite struct CustomerKeyTests {
    private let key = [UInt8](repeating: 7, count: 32)

    private func headers(_ changes: [String: String?] = [:]) -> HTTPHeaders {
        var fields: [String: String] = [
            "algorithm": "AES256", "key": Base64.encode(key),
            "key-md5": Base64.encode(MD5.hash(key)),
        ]
        for (name, value) in changes { fields[name] = value }
        return HTTPHeaders(fields.map { (CustomerKey.prefix + $0.key, $0.value) })
    }

    @Test func keysComeWholeOrNotAtAll() throws {
        #expect(try CustomerKey(HTTPHeaders()) == nil)
        #expect(try CustomerKey(headers())?.key == key)
        let wrong: [([String: String?], String)] = [
            (["algorithm": nil], "InvalidArgument"), (["key": nil], "InvalidArgument"),
            (["key-md5": nil], "InvalidArgument"), (["key-md5": "AAAA"], "InvalidArgument"),
            (["key": "AAAA"], "InvalidArgument"),
            (["algorithm": "AES128"], "InvalidEncryptionAlgorithmError"),
        ]
        for (changes, code) in wrong {
            let error = #expect(throws: S3Error.self) { try CustomerKey(headers(changes)) }
            #expect(error?.code == code)
        }
    }

    private func bytes(_ source: any ByteSource) async throws -> [UInt8] {
        var source = source
        var bytes: [UInt8] = []
        while let more = try await source.next() { bytes += more }
        return bytes
    }

    private func info(_ bytes: [UInt8], _ parts: [ObjectPart]) -> ObjectInfo {
        var info = ObjectInfo(
            key: "k", size: UInt64(bytes.count), etag: "", modified: WallTime(milliseconds: 0),
            headers: [:], checksums: [:], cid: "", redundancy: "")
        info.parts = parts
        return info
    }

    @Test func anotherKeyIsRefusedAndNoKeyIsStored() throws {
        let customer = try #require(try CustomerKey(headers()))
        var stored: [String: String] = [:]
        CustomerCipher(customer, random: Counting()).store(in: &stored)
        #expect(stored.keys.allSatisfy { $0.hasPrefix(S3Headers.hiddenPrefix) })
        #expect(!stored.values.contains { $0.contains(Hex.encode(key)) })
        #expect(CustomerCipher.isUsed(by: stored))
        #expect(try CustomerCipher(customer, stored: stored) != nil)
        #expect(try CustomerCipher(customer, stored: [:]) == nil)
        var other = customer
        other.key[0] ^= 1
        let error = #expect(throws: S3Error.self) { try CustomerCipher(other, stored: stored) }
        #expect(error?.code == "AccessDenied")
    }

    @Test func rangesAcrossPartsAreDecrypted() async throws {
        let customer = try #require(try CustomerKey(headers()))
        let cipher = CustomerCipher(customer, random: Counting())
        let plain = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
        var (sealed, parts): ([UInt8], [ObjectPart]) = ([], [])
        for (number, range) in [0..<100, 100..<100, 100..<617, 617..<1000].enumerated() {
            let nonce = [UInt8](repeating: UInt8(number), count: CustomerCipher.nonceBytes)
            sealed += try await bytes(
                cipher.encrypting(
                    PiecewiseBytes(Array(plain[range]), pieceBytes: 37), nonce: nonce,
                    blocking: Inline()))
            parts.append(ObjectPart(number: number + 1, size: UInt64(range.count), nonce: nonce))
        }
        #expect(sealed.count == plain.count)
        #expect(zip(sealed, plain).count { $0 == $1 } < 50)
        let info = info(plain, parts)
        for range in [0..<1000, 0..<1, 99..<101, 100..<617, 50..<999, 999..<1000] {
            let opened = try await bytes(
                cipher.decrypting(
                    PiecewiseBytes(Array(sealed[range]), pieceBytes: 61), of: info,
                    from: UInt64(range.lowerBound), blocking: Inline()))
            #expect(opened == Array(plain[range]))
        }
    }

    @Test func equalPartsUnderTheSameKeyDiffer() async throws {
        let customer = try #require(try CustomerKey(headers()))
        let cipher = CustomerCipher(customer, random: Counting())
        let plain = [UInt8](repeating: 0, count: 64)
        let first = try await bytes(
            cipher.encrypting(FixedBytes(plain), nonce: [1], blocking: Inline()))
        let second = try await bytes(
            cipher.encrypting(FixedBytes(plain), nonce: [2], blocking: Inline()))
        #expect(first != second)
    }
}

import CyxCore
import CyxCrypto
import Testing

@testable import CyxTransport

/// RFC 9001, appendix A: the same construction under QUIC's label prefix.
@Suite struct ProtectionTests {
    private let schedule = KeySchedule(prefix: "tls13 quic ")

    @Test func initialKeysOfAppendixA1() throws {
        let client = try bytes("c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea")
        #expect(
            Hex.encode(schedule.expand(client, "key", count: 16))
                == "1f369613dd76d5467730efcbe3b1a22d")
        #expect(Hex.encode(schedule.expand(client, "iv", count: 12)) == "fa044b2f42a3fd3b46fb255c")
        #expect(
            Hex.encode(schedule.expand(client, "hp", count: 16))
                == "9f50449e04a0e810283a1e9933adedd2")
    }

    @Test(arguments: [
        // A.2 and A.3: AES-128.
        (
            "9f50449e04a0e810283a1e9933adedd2", "d1b1c98dd7689fb8ec11d242b123dc9b", "437b9aec36",
            false
        ),
        (
            "c206b8d9b9f0f37644430b490eeaa314", "2cd0991cd25b0aac406a5816b6394100", "2ec0d8356a",
            false
        ),
        // A.5: ChaCha20.
        (
            "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4",
            "5e5cd55c41f69080575d7999c25a5bfb", "aefefe7d03", true
        ),
    ])
    func headerMasksOfAppendixA(key: String, sample: String, mask: String, chaCha: Bool) throws {
        let protector = HeaderProtector(chaCha ? .chaCha20 : .aes, key: try bytes(key))
        let result = protector.mask(sample: try bytes(sample))
        #expect(Hex.encode((0..<5).map { result[$0] }) == mask)
    }

    @Test func shortPacketOfAppendixA5() throws {
        let secret = try bytes("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b")
        #expect(
            Hex.encode(schedule.expand(secret, "ku", count: 32))
                == "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9")
        let protector = PacketProtector(
            secret: secret, suite: .chaCha20Poly1305, schedule: schedule)
        var packet = try bytes("4200bff401") + [UInt8](repeating: 0, count: 16)
        packet.withUnsafeMutableBytes {
            protector.seal($0, headerSize: 4, numberSize: 3, number: 654_360_564)
        }
        #expect(Hex.encode(packet) == "4cfe4189655e5cd55c41f69080575d7999c25a5bfb")
        let plaintext = PacketBuffer(byteCount: PacketFormat.datagramSizeMax)
        packet.withUnsafeBytes {
            let opened = protector.open(
                $0, numberOffset: 1, largestReceived: 654_360_563, into: plaintext.bytes)
            #expect(opened?.number == 654_360_564)
            #expect(opened?.first == 0x42)
            #expect(opened.map { [UInt8](plaintext.bytes[..<$0.payloadSize]) } == [1])
        }
    }

    @Test(arguments: [CipherSuite.aes256GCM, .chaCha20Poly1305])
    func everyFlippedBitAndTruncationOfAPacketIsNoticed(suite: CipherSuite) throws {
        let protector = PacketProtector(secret: [UInt8](repeating: 3, count: 32), suite: suite)
        var packet = [UInt8](repeating: 0x5A, count: 60)
        packet[0] = 0x41
        packet[9] = 1
        packet[10] = 0x2C
        packet.withUnsafeMutableBytes {
            protector.seal($0, headerSize: 11, numberSize: 2, number: 300)
        }
        let plaintext = PacketBuffer(byteCount: PacketFormat.datagramSizeMax)
        func opens(_ packet: [UInt8]) -> Bool {
            packet.withUnsafeBytes {
                protector.open($0, numberOffset: 9, largestReceived: 299, into: plaintext.bytes)
                    != nil
            }
        }
        #expect(opens(packet))
        for bit in 0..<packet.count * 8 {
            var changed = packet
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(!opens(changed))
        }
        for count in 0..<packet.count { #expect(!opens(Array(packet[..<count]))) }
    }
}

/// RFC 9000, appendices A.1 to A.3.
@Suite struct PacketNumberTests {
    @Test func sizesOfAppendixA2() {
        #expect(PacketNumber.encodedSize(0xAC5C02, largestAcknowledged: 0xABE8B3) == 2)
        #expect(PacketNumber.encodedSize(0xACE8FE, largestAcknowledged: 0xABE8B3) == 3)
        #expect(PacketNumber.encodedSize(0, largestAcknowledged: nil) == 1)
    }

    @Test func decodingOfAppendixA3() {
        #expect(
            PacketNumber.decode(0x9B32, size: 2, largestReceived: 0xA82F_30EA) == 0xA82F_9B32)
    }

    @Test func everyNumberWithinTheWindowIsFoundAgain() {
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<20_000 {
            let acknowledged = generator.next() >> (2 + generator.next() % 60)
            let number = acknowledged + 1 + generator.next() % 30_000
            guard number <= PacketNumber.maximum else { continue }
            let size = PacketNumber.encodedSize(number, largestAcknowledged: acknowledged)
            let truncated = number & (1 << UInt64(size * 8) - 1)
            let received = acknowledged + generator.next() % (number - acknowledged)
            #expect(
                PacketNumber.decode(truncated, size: size, largestReceived: received) == number)
        }
    }

    @Test(arguments: [
        (UInt64(151_288_809_941_952_652), "c2197c5eff14e88c"), (494_878_333, "9d7f3e7d"),
        (15_293, "7bbd"), (37, "25"),
    ])
    func variableIntegersOfAppendixA1(value: UInt64, hex: String) throws {
        let buffer = PacketBuffer(byteCount: 16)
        var writer = PacketWriter(buffer.bytes)
        writer.writeVariable(value)
        #expect(Hex.encode([UInt8](buffer.bytes[..<writer.offset])) == hex)
        let read = try (try bytes(hex)).decoded { reader throws(TransportError) in
            try reader.readVariable()
        }
        #expect(read == value)
    }
}

extension PacketProtector {
    /// Both steps, for a packet that is surely under this key.
    fileprivate func open(
        _ packet: UnsafeRawBufferPointer, numberOffset: Int, largestReceived: UInt64?,
        into plaintext: UnsafeMutableRawBufferPointer
    ) -> OpenedPacket? {
        unmask(
            packet, numberOffset: numberOffset, largestReceived: largestReceived, into: plaintext
        ).flatMap { open(packet, $0, scratch: plaintext, into: plaintext) }
    }
}

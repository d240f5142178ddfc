import CyxCore
import CyxHTTP
import Foundation
import Testing

@testable import CyxPeerProcess

@Suite struct CertificateSourceTests {
    private static let day: Int64 = 86_400_000
    private let now = WallTime(milliseconds: 1_800_000_000_000)

    private func inFolder(_ body: (PeerConfiguration) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.path + "/cyx-tls-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var configuration = PeerConfiguration()
        configuration.dataDirectory = folder
        configuration.s3SelfSigned = true
        try body(configuration)
    }

    @Test func whatThePeerMadeIsKeptUntilItEndsOrLacksAName() throws {
        try inFolder { configuration in
            let source = try #require(CertificateSource(configuration))
            let first = try source.load(now)
            let later = WallTime(milliseconds: now.milliseconds + 300 * Self.day)
            #expect(try source.load(later).fingerprint == first.fingerprint)
            #expect(!source.isEnding(first, later))
            let end = WallTime(milliseconds: now.milliseconds + 340 * Self.day)
            #expect(source.isEnding(first, end))
            let second = try source.load(end)
            #expect(second.fingerprint != first.fingerprint)
            #expect(second.validity.contains(end))

            var named = configuration
            named.s3Domain = "s3.example.com"
            let third = try #require(CertificateSource(named)).load(end)
            #expect(third.fingerprint != second.fingerprint)
            #expect(third.isFor("photos.s3.example.com"))
        }
    }

    @Test func filesOfOthersAreReadAndNeverReplaced() throws {
        try inFolder { configuration in
            let own = try #require(CertificateSource(configuration))
            let made = try own.load(now)
            var configuration = configuration
            configuration.s3SelfSigned = false
            configuration.s3CertificateFile = own.certificateFile
            configuration.s3KeyFile = own.keyFile
            let source = try #require(CertificateSource(configuration))
            let end = WallTime(milliseconds: now.milliseconds + 1000 * Self.day)
            #expect(try source.load(end).fingerprint == made.fingerprint)
            #expect(!source.isEnding(made, end))

            let before = source.stamp()
            #expect(source.stamp() == before)
            try "nonsense".write(toFile: own.keyFile, atomically: true, encoding: .utf8)
            #expect(source.stamp() != before)
            #expect(throws: (any Error).self) { try source.load(now) }
            try FileManager.default.removeItem(atPath: own.certificateFile)
            #expect(throws: (any Error).self) { try source.load(now) }
        }
    }
}

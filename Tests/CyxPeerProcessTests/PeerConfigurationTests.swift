import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport
import Testing

@testable import CyxPeerProcess

@Suite struct PeerConfigurationTests {
    private func combine(
        _ words: [String] = [], file: String? = nil, environment: [String: String] = [:]
    ) throws -> PeerConfiguration {
        try PeerConfiguration.combine(
            flags: try PeerConfiguration.spec.parse(words),
            file: file.map { (name: "peer.yaml", bytes: Array($0.utf8)) },
            environment: environment)
    }

    @Test func flagsWinOverTheFile() throws {
        let configuration = try combine(
            ["--zone", "b", "--roles", "storage,gateway"],
            file: """
                zone: a
                bootstrap: [10.0.0.1:7700, 10.0.0.2:7700]
                storage:
                  path: /srv/cyx
                  allocated: 50TB
                """)
        #expect(configuration.zone == "b")
        #expect(configuration.roles == [.storage, .gateway])
        #expect(configuration.bootstrap == ["10.0.0.1:7700", "10.0.0.2:7700"])
        #expect(configuration.dataDirectory == "/srv/cyx")
        #expect(configuration.allocatedBytes == 50 << 40)
    }

    @Test func congestionControlIsChosenInTheFileOrByFlag() throws {
        #expect(try combine().congestion == .cubic)
        #expect(try combine(file: "transport:\n  congestion: bbr").congestion == .bbr)
        #expect(try combine(["--congestion", "bbr"]).congestion == .bbr)
        #expect(
            throws: ConfigurationError("--congestion: `reno` is not one of cubic, bbr")
        ) { try combine(["--congestion", "reno"]) }
    }

    @Test func theAdminsKeyIsAPublicKey() throws {
        let hex = String(repeating: "a5", count: 32)
        #expect(try combine().adminKey == nil)
        #expect(
            try combine(["--admin-key", hex]).adminKey?.bytes == [UInt8](repeating: 0xa5, count: 32)
        )
        #expect(try combine(file: "network:\n  admin_key: \(hex)").adminKey != nil)
        #expect(throws: ConfigurationError.self) {
            try combine(["--admin-key", String(hex.dropLast(2))])
        }
    }

    @Test(arguments: [
        ("zone: a\nzone: b", "peer.yaml line 2: `zone` is given twice"),
        ("zoen: a", "peer.yaml line 1: no setting is called `zoen`; did you mean `zone`?"),
        (
            "storage:\n  allocated: lots",
            "peer.yaml line 2: `lots` is not a size such as 500GB"
        ),
        ("zone: &x a", "peer.yaml line 1: anchors and aliases are not supported"),
        ("- a", "peer.yaml: expected `key: value` lines"),
        ("a: 1\n---\nb: 2", "peer.yaml line 2: a second document begins here"),
        (
            "compute:\n  max_jobs: 4",
            "peer.yaml line 2: `compute.max_jobs`: this version has no compute role yet"
        ),
    ])
    func namesTheLineAndTheRemedy(file: String, message: String) {
        #expect(throws: ConfigurationError(message)) { try combine(file: file) }
    }

    @Test(arguments: [
        (["--listen", "7700"], "--listen: `7700` is not HOST:PORT, such as 0.0.0.0:7700"),
        (["--roles", "gatway"], "--roles: no role is called `gatway`; did you mean `gateway`?"),
        (["--roles", "compute"], "--roles: this version has no `compute` role yet"),
        (["--account", "a:b"], "--account: expected NAME:ACCESS:SECRET"),
        (
            ["--access-key", "a"],
            "--access-key and --secret-key belong together; the secret needs 8 bytes or more"
        ),
    ])
    func namesTheFlag(words: [String], message: String) {
        #expect(throws: ConfigurationError(message)) { try combine(words) }
    }

    @Test func keysComeFromTheEnvironment() throws {
        let configuration = try combine(
            environment: ["CYX_ACCESS_KEY": "k", "CYX_SECRET_KEY": "long enough"])
        #expect(configuration.firstAccount?.accessKey == "k")
    }

    @Test func everyTruncationOfAFileIsAnErrorOrAConfiguration() {
        let file = Array("mode: storage\nbootstrap: [\"a:1\", b:2]\nstorage: {path: /x}\n".utf8)
        for length in 0...file.count {
            _ = try? YAMLDocument.parse(Array(file.prefix(length)))
        }
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<2000 {
            var mutated = file
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                mutated[Int.random(in: 0..<file.count, using: &generator)] = UInt8.random(
                    in: 0...255, using: &generator)
            }
            _ = try? YAMLDocument.parse(mutated)
        }
    }

    @Test func ownRangesAreRangesOfAddresses() throws {
        let file = try combine(file: "own_ranges: [10.0.0.0/8, \"fd00::/8\"]")
        #expect(file.ownRanges?.map(\.description) == ["10.0.0.0/8", "fd00::/8"])
        let message = "--own-ranges: `10.0.0.1/8` is not a range such as 10.0.0.0/8 or fd00::/8"
        #expect(throws: ConfigurationError(message)) {
            try combine(["--own-ranges", "10.0.0.1/8"])
        }
        #expect(try combine().ownRanges == nil)
    }

    @Test func aRelayHasLimits() throws {
        let configuration = try combine(
            ["--roles", "storage,relay", "--relay-rate", "4MiB"],
            file: "relay: {circuits: 7}")
        #expect(configuration.roles == [.storage, .relay])
        #expect(configuration.relayLimits.circuits == 7)
        #expect(configuration.relayLimits.circuitBytesPerSecond == 4 << 20)
        #expect(throws: ConfigurationError.self) { try combine(["--relay-circuits", "0"]) }
        #expect(throws: ConfigurationError.self) { try combine(["--relay-rate", "fast"]) }
    }

    @Test func bucketsMayBeginWithoutACLs() throws {
        #expect(try !combine().objectsBelongToBucketOwner)
        #expect(
            try combine(["--s3-ownership", "BucketOwnerEnforced"]).objectsBelongToBucketOwner)
        let file = "gateway: {ownership: BucketOwnerEnforced, lifecycle_day: 10s}"
        #expect(try combine(file: file).objectsBelongToBucketOwner)
        #expect(try combine(file: file).lifecycleDay == .seconds(10))
        #expect(try combine().lifecycleDay == .seconds(86_400))
        #expect(throws: ConfigurationError.self) { try combine(["--s3-ownership", "mine"]) }
        #expect(try combine(["--s3-domain", "s3.example.com"]).s3Domain == "s3.example.com")
        for name in ["", "localhost", "S3.example.com", ".example.com", "s3.example.com:9000"] {
            #expect(throws: ConfigurationError.self) { try combine(["--s3-domain", name]) }
        }
        #expect(throws: ConfigurationError.self) { try combine(["--s3-lifecycle-day", "0s"]) }
    }

    @Test func readsMayBeGivenMoreMemory() throws {
        #expect(try combine().readBytes == 256 << 20)
        #expect(try combine(file: "gateway: {read_memory: 1GiB}").readBytes == 1 << 30)
        #expect(try combine(["--s3-read-memory", "64MiB"]).readBytes == 64 << 20)
        #expect(throws: ConfigurationError.self) { try combine(["--s3-read-memory", "63MiB"]) }
    }

    @Test func aCertificateIsNamedWithItsKeyOrMade() throws {
        let plain = try combine()
        #expect(plain.s3CertificateFile == nil && !plain.s3SelfSigned)
        #expect(CertificateSource(plain) == nil)
        let named = try combine(["--s3-tls-certificate", "a.pem", "--s3-tls-key", "a.key"])
        #expect(CertificateSource(named)?.certificateFile == "a.pem")
        #expect(CertificateSource(named)?.keyFile == "a.key")
        #expect(CertificateSource(named)?.ownNames == nil)
        let own = try combine([
            "--s3-tls-self-signed", "--s3-listen", "10.0.0.7:9000", "--s3-domain", "s3.example.com",
        ])
        #expect(
            CertificateSource(own)?.ownNames == [
                "localhost", "127.0.0.1", "::1", "10.0.0.7", "s3.example.com", "*.s3.example.com",
            ])
        let anywhere = try combine(["--s3-tls-self-signed", "--s3-listen", "[::]:9000"])
        #expect(CertificateSource(anywhere)?.ownNames == ["localhost", "127.0.0.1", "::1"])
        let file = "gateway: {tls_certificate: b.pem, tls_key: b.key}"
        #expect(try combine(file: file).s3KeyFile == "b.key")
        #expect(try combine(file: "gateway: {tls_self_signed: true}").s3SelfSigned)
        for flags in [
            ["--s3-tls-certificate", "a.pem"], ["--s3-tls-key", "a.key"],
            ["--s3-tls-self-signed", "--s3-tls-certificate", "a", "--s3-tls-key", "b"],
        ] {
            #expect(throws: ConfigurationError.self) { try combine(flags) }
        }
        #expect(throws: ConfigurationError.self) {
            try combine(file: "gateway: {tls_self_signed: perhaps}")
        }
    }

    @Test func onlyAGatewayThatIsToldToServesKeysOfOthers() throws {
        #expect(try !combine([]).servesForeignKeys)
        #expect(try combine(["--s3-foreign-keys"]).servesForeignKeys)
        #expect(try combine(file: "gateway: {foreign_keys: true}").servesForeignKeys)
        #expect(throws: ConfigurationError.self) {
            try combine(file: "gateway: {foreign_keys: maybe}")
        }
    }

    @Test func onlyADevnetBeginsWithOtherPartitions() throws {
        #expect(try combine().genesisBits == 8)
        let devnet = try combine(
            ["--genesis-bits", "4"], file: "profile: devnet\nnetwork: {genesis_bits: 2}")
        #expect(devnet.genesisBits == 4)
        let message = "genesis-bits needs the profile devnet"
        #expect(throws: ConfigurationError(message)) { try combine(["--genesis-bits", "4"]) }
        #expect(throws: ConfigurationError.self) {
            try combine(["--genesis-bits", "9"], file: "profile: devnet")
        }
    }

    @Test func aLeaseIsATime() throws {
        #expect(try combine().lease == nil)
        #expect(try combine(file: "gateway: {lease: 90d}").lease == .seconds(90 * 86_400))
        #expect(try combine(["--lease", "3s"], file: "gateway: {lease: 90d}").lease == .seconds(3))
        let message = "--lease: `2s` is not a time of 3s or more, such as 90d"
        #expect(throws: ConfigurationError(message)) { try combine(["--lease", "2s"]) }
        #expect(throws: ConfigurationError.self) { try combine(["--lease", "never"]) }
    }
}

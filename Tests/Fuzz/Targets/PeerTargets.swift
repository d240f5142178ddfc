import CyxCore
import CyxStorage

@testable import CyxPeerProcess

/// What an operator writes: flags, configuration, key files.
let peerTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "yaml", bytesMax: 2048,
        seeds: {
            [
                utf8("listen: 0.0.0.0:7700\nroles: [storage, gateway]\nzone: \"rack 1\"\n"),
                utf8("storage:\n  path: /data\n  allocated: 500GB\nbootstrap:\n  - a:1\n  - b:2\n"),
                utf8("mode: gateway\nprofile: devnet\nlog_level: debug\nnetwork_key: key\n"),
            ]
        },
        decode: { bytes in
            let document = try taken(YAMLError.self) { try YAMLDocument.parse(bytes) }
            guard document != nil else { return false }
            let flags = try PeerConfiguration.spec.parse([])
            _ = try taken(ConfigurationError.self) {
                try PeerConfiguration.combine(
                    flags: flags, file: (name: "peer.yaml", bytes: bytes), environment: [:])
            }
            return true
        }),
    FuzzTarget(
        name: "command-line", bytesMax: 1024,
        seeds: {
            [
                ["--data-dir", "x", "--listen=[::]:7700", "--roles", "storage,gateway"],
                ["--account", "a:b:c", "--account=d:e:f", "--zone", "z", "--help"],
                ["--access-key", "k", "--secret-key", "12345678", "--allocated", "1.5TiB"],
            ].map { Pieces.join($0.map(utf8)) }
        },
        decode: { bytes in
            let words = Pieces.split(bytes, limit: 64).map(\.asText)
            let parsed = try taken(UsageError.self) { try PeerConfiguration.spec.parse(words) }
            guard let parsed else { return false }
            let configuration = try taken(ConfigurationError.self) {
                try PeerConfiguration.combine(flags: parsed, file: nil, environment: [:])
            }
            return configuration != nil
        }),
    FuzzTarget(
        name: "secret-file", bytesMax: 1024,
        seeds: {
            let digits = String(repeating: "0f", count: 32)
            return [utf8(digits + "\n"), utf8("default KEY secret \(digits)\nb C d \(digits)\n")]
        },
        decode: { bytes in
            let key = try taken(StoreProblem.self) { try SecretFile.key(bytes, in: "key") }
            if let key {
                try BrokenProperty.check(key.count == 32, "a key of \(key.count) bytes")
            }
            let entries = try taken(StoreProblem.self) {
                try AccountsFile.parse(bytes, path: "accounts")
            }
            return key != nil || entries?.isEmpty == false
        }),
]

internal import CyxCore
internal import CyxCrypto
internal import CyxStorage

/// The S3 accounts of a gateway: names, key pairs, and the seeds that all of an account's keys
/// derive from. Kept as `accounts` in the data directory, one account a line, mode 0600.
struct AccountsFile {
    struct Entry: Equatable {
        var name: String
        var accessKey: String
        var secretKey: String
        /// 32 bytes; whoever has it can read and sign everything of the account.
        var seed: [UInt8]
    }

    private(set) var entries: [Entry] = []
    /// The account whose keys were made up just now and must be shown once.
    private(set) var generated: Entry?
    private let path: String

    /// Reads the file, adds what `configuration` names, and makes a first account if there is none.
    init(
        dataDirectory: String, configuration: PeerConfiguration, random: any RandomSource
    ) throws(StoreProblem) {
        path = dataDirectory + "/accounts"
        if let bytes = try SecretFile.read(path) {
            entries = try AccountsFile.parse(bytes, path: path)
        }
        let before = entries
        var wanted = configuration.moreAccounts
        if let first = configuration.firstAccount { wanted.insert(first, at: 0) }
        for account in wanted {
            if let index = entries.firstIndex(where: { $0.name == account.name }) {
                entries[index].accessKey = account.accessKey
                entries[index].secretKey = account.secretKey
            } else {
                entries.append(
                    Entry(
                        name: account.name, accessKey: account.accessKey,
                        secretKey: account.secretKey, seed: random.bytes(32)))
            }
        }
        if entries.isEmpty {
            let entry = Entry(
                name: "default", accessKey: "CYX" + Hex.encode(random.bytes(8)).uppercased(),
                secretKey: Hex.encode(random.bytes(20)), seed: random.bytes(32))
            entries.append(entry)
            generated = entry
        }
        let accessKeys = Set(entries.map(\.accessKey))
        guard accessKeys.count == entries.count else {
            throw StoreProblem(
                "ID-03", "two accounts have the same access key",
                advice: "give each --account an access key of its own")
        }
        if entries != before { try SecretFile.write(path, text) }
    }

    private var text: String {
        entries.map { "\($0.name) \($0.accessKey) \($0.secretKey) \(Hex.encode($0.seed))\n" }
            .joined()
    }

    static func parse(_ bytes: [UInt8], path: String) throws(StoreProblem) -> [Entry] {
        var entries: [Entry] = []
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            guard words.count == 4, let seed = Hex.decode(words[3]), seed.count == 32 else {
                throw StoreProblem(
                    "ID-04", "\(path) is damaged in line \(entries.count + 1)",
                    cause: "a line is NAME ACCESS SECRET and 64 hexadecimal digits",
                    advice: "restore it from a backup: without the seed its data cannot be read")
            }
            entries.append(
                Entry(name: words[0], accessKey: words[1], secretKey: words[2], seed: seed))
        }
        return entries
    }
}

import CyxCore
import CyxCrypto
import CyxObjects
import SimulationHarness

/// What clients of a world of objects did and were told, and which bytes stand for which write.
struct ObjectRecords {
    struct Key {
        var name: String
        var history = RegisterHistory()
        /// Reads of it that were part of a list.
        var listed: Set<Int> = []
        /// Updates that were begun, ended or not.
        var updates = 0
        /// What was last read of it, for conditions; nil: nothing.
        var lastRead: (value: Int, etag: String)?
        /// A write that must never be seen: its upload was aborted.
        var impossible: Set<Int> = []
    }

    /// A write of a key.
    struct Write: Hashable {
        var key: Int
        var value: Int
    }

    private(set) var violations: [String] = []
    /// How often each invariant was held against something.
    private(set) var checks: [String: Int] = [:]
    var counts: [String: Int] = [:]
    var keys: [Key] = []
    private(set) var pins = PinRecords()
    var versions = VersionRecords()
    private var writes: [Digest: Write] = [:]
    private var etags: [String: Write] = [:]

    func key(named name: String) -> Int? { keys.firstIndex { $0.name == name } }

    mutating func count(_ what: String) { counts[what, default: 0] += 1 }
    mutating func check(_ invariant: String) { checks[invariant, default: 0] += 1 }
    mutating func violate(_ invariant: String, _ what: String) {
        violations.append("\(invariant): \(what)")
    }

    // MARK: Bytes

    static func bytes(_ write: Write, part: Int = 0, count: Int) -> [UInt8] {
        var generator = SeededGenerator(
            seed: UInt64(write.key) << 40 | UInt64(write.value) << 8 | UInt64(part))
        var writer = ByteWriter(capacity: count + 8)
        for _ in 0..<(count + 7) / 8 { writer.write(generator.next()) }
        return Array(writer.bytes.prefix(count))
    }

    /// Bytes of a write that may be read from now on, and the ETag that they have.
    mutating func expect(_ write: Write, _ bytes: [UInt8], etag: String) {
        writes[BLAKE3.hash(bytes)] = write
        etags[etag] = write
    }

    /// What a read of `key` saw, nil: nothing; notes a violation for bytes that nobody wrote there.
    mutating func see(_ key: Int, _ operation: Int, _ bytes: [UInt8]?, etag: String?) {
        var value = RegisterHistory.initial
        if let bytes {
            guard let write = writes[BLAKE3.hash(bytes)], write.key == key else {
                return violate(
                    "Recoverable", "\(keys[key].name) gave \(bytes.count) bytes of no write")
            }
            value = write.value
            check("Recoverable")
        }
        note(key, operation, value, etag)
    }

    /// What a list says of `key`, by its ETag; nil: it is not there.
    mutating func seeListed(_ key: Int, _ operation: Int, etag: String?) {
        var value = RegisterHistory.initial
        if let etag {
            guard let write = etags[etag], write.key == key else {
                return violate("ListFresh", "\(keys[key].name) is listed as no write of it")
            }
            value = write.value
        }
        keys[key].listed.insert(operation)
        check("ListFresh")
        note(key, operation, value, nil)
    }

    private mutating func note(_ key: Int, _ operation: Int, _ value: Int, _ etag: String?) {
        if keys[key].impossible.contains(value) {
            violate(
                "MultipartAtomic", "\(keys[key].name) holds what an aborted upload would have put")
        }
        keys[key].history.see(operation, value)
        keys[key].history.finish(operation)
        keys[key].lastRead = etag.map { (value, $0) }
    }

    // MARK: Pins

    mutating func seePinned(_ key: Int, _ operation: Int, _ pin: PinInfo) {
        guard let write = etags[pin.etag], write.key == key else {
            return violate("Recoverable", "\(keys[key].name) was pinned as no write of it")
        }
        pins.add(pin)
        count("pins made")
        note(key, operation, write.value, pin.etag)
    }

    mutating func endPin(_ id: String) { pins.remove(id) }

    /// What was read through a pin; nothing else may ever be.
    mutating func see(pin id: String, _ bytes: [UInt8]) {
        guard let etag = pins.kept[id] else { return }
        check("Recoverable")
        count("pins read")
        guard writes[BLAKE3.hash(bytes)] != etags[etag] else { return }
        violate("Recoverable", "the pin \(id) gave \(bytes.count) bytes of another write")
    }

    mutating func miss(pin id: String, _ reason: String) {
        guard pins.kept[id] != nil else { return }
        violate("NoDangling", "what the pin \(id) keeps is gone: \(reason)")
    }

    // MARK: Versions

    /// What a read of one version gave; nil: nothing. It must be what was put as that version.
    mutating func see(version: VersionRecords.Name, _ bytes: [UInt8]?) {
        guard let etag = versions.kept[version]?.etag else { return }
        check("VersionsKept")
        count("versions read")
        guard let bytes else {
            return violate(
                "VersionsKept", "version \(version.id) of \(keys[version.key].name) is gone")
        }
        guard writes[BLAKE3.hash(bytes)] != etags[etag] else { return }
        violate("VersionsKept", "version \(version.id) gave \(bytes.count) bytes of another write")
    }

    /// All versions that a listing shows.
    mutating func seeAll(_ listed: Set<VersionRecords.Name>, since began: Int) {
        check("VersionsKept")
        for version in versions.kept.keys.sorted() where versions.stood(version, before: began) {
            guard !listed.contains(version) else { continue }
            violate("VersionsKept", "version \(version.id) is not listed")
        }
        for version in listed.sorted() where versions.isGone(version, before: began) {
            violate("VersionsKept", "version \(version.id) was removed and is listed")
        }
    }

    // MARK: Verdict

    /// Holds what clients saw of each key against all orders that could explain it.
    mutating func judge() {
        for key in keys {
            check("RegisterLinear")
            check("NoResurrection")
            guard !key.history.isLinearizable else { continue }
            let isOfLists = key.history.isLinearizable(without: key.listed)
            violate(
                isOfLists ? "ListFresh" : "RegisterLinear",
                "no order explains what clients saw of \(key.name)")
        }
    }
}

import CyxCore
import CyxStorage
import Glibc
import Testing

struct DataDirectoryTests {
    private let alice = PeerID(Digest(1, 2, 3, 4))
    private let bob = PeerID(Digest(5, 6, 7, 8))

    private func problem(_ path: String, _ peer: PeerID) -> StoreProblem? {
        do throws(StoreProblem) {
            _ = try DataDirectory(path: path, peer: peer)
            return nil
        } catch {
            return error
        }
    }

    @Test func anotherIdentitysDirectoryIsRefused() throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/a/b"
        #expect(problem(path, alice) == nil)
        #expect(problem(path, alice) == nil)
        let refusal = try #require(problem(path, bob))
        #expect(refusal.code == "STORE-02")
        #expect(refusal.description.contains(alice.description))
        #expect(refusal.description.contains("try:"))
    }

    @Test func aDirectoryInUseIsRefused() throws {
        let scratch = try ScratchDirectory()
        let held = try DataDirectory(path: scratch.path, peer: alice)
        #expect(problem(scratch.path, alice)?.code == "STORE-04")
        #expect(held.path == scratch.path)
        withExtendedLifetime(held) {}
    }

    @Test func aPathThroughAFileIsRefusedWithTheSystemsWords() throws {
        let scratch = try ScratchDirectory()
        writeFile("\(scratch.path)/file", [1])
        let refusal = try #require(problem("\(scratch.path)/file/data", alice))
        #expect(refusal.code == "STORE-01")
        #expect(refusal.cause == "Not a directory")
    }

    @Test(.enabled(if: geteuid() != 0)) func aDirectoryWithoutPermissionIsRefused() throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/closed"
        mkdir(path, 0o500)
        #expect(problem(path, alice)?.code == "STORE-01")
    }

    @Test func aStoreThatVanishedIsNotServed() async throws {
        let scratch = try ScratchDirectory()
        let directory = try DataDirectory(path: scratch.path, peer: alice)
        let store = StoreID(Digest(9, 9, 9, 9))
        try directory.requireStore(named: "shards", at: scratch.path)
        try directory.remember(StoreRecord(store: store, shards: 12))
        #expect(try directory.record() == StoreRecord(store: store, shards: 12))
        let refusal = #expect(throws: StoreProblem.self) {
            try directory.requireStore(named: "shards", at: scratch.path)
        }
        #expect(refusal?.code == "STORE-07")
        #expect(refusal?.what.contains("12 shards") == true)

        let device = RocksDBDevice(path: scratch.path)
        try device.open("shards", kind: .shards).close()
        try directory.requireStore(named: "shards", at: scratch.path)
        try directory.verify(store, at: scratch.path)
        #expect(throws: StoreProblem.self) {
            try directory.verify(StoreID(Digest(1, 1, 1, 1)), at: scratch.path)
        }
        // What the advice says.
        #expect(refusal?.advice.contains("\(scratch.path)/store-record") == true)
        unlink("\(scratch.path)/store-record")
        try directory.verify(StoreID(Digest(1, 1, 1, 1)), at: scratch.path)
    }

    @Test func damagedFilesAreNamed() throws {
        let scratch = try ScratchDirectory()
        #expect(problem(scratch.path, alice) == nil)
        writeFile("\(scratch.path)/store-record", Array("nonsense".utf8))
        do {
            let directory = try DataDirectory(path: scratch.path, peer: alice)
            let refusal = #expect(throws: StoreProblem.self) { try directory.record() }
            #expect(refusal?.code == "STORE-05")
        }
        writeFile("\(scratch.path)/owner", Array("nonsense".utf8))
        #expect(problem(scratch.path, alice)?.code == "STORE-05")
    }

    @Test func anAllocationBeyondTheVolumeSaysWhatFits() throws {
        let scratch = try ScratchDirectory()
        try DataDirectory.checkAllocation(1 << 20, used: 0, path: scratch.path)
        let refusal = #expect(throws: StoreProblem.self) {
            try DataDirectory.checkAllocation(1 << 60, used: 0, path: scratch.path)
        }
        #expect(refusal?.code == "STORE-03")
        #expect(refusal?.what.contains("1048576 TiB") == true)
    }
}

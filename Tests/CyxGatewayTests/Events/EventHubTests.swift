import CyxCore
import CyxObjects
import Synchronization
import Testing

@testable import CyxGateway

/// What one listener was told.
private final class Heard: Sendable {
    private let events = Mutex<[(position: EventPosition, name: String)]>([])

    var names: [String] { events.withLock { $0.map(\.name) } }

    var deliver: EventHub.Deliver {
        { position, event in
            let type = event.fields.first { $0.key == "type" }?.value.text ?? ""
            let name = event.key.map { type + " " + $0 } ?? type
            self.events.withLock { $0.append((position, name)) }
        }
    }

    /// Waits for so many, and a moment for more.
    func names(_ count: Int, _ environment: Environment) async throws -> [String] {
        for _ in 0..<200 where names.count < count {
            try await environment.sleep(for: .milliseconds(50))
        }
        try await environment.sleep(for: EventHub.interval)
        return names
    }
}

@Suite struct EventHubTests {
    private static let source = EventHub.Source.bucket(account: "a", name: "b")

    private func withHub(
        _ body: @Sendable (EventHub, ScriptedChanges, Environment) async throws -> Void
    ) async throws {
        try await GatewayHarness.run { harness in
            let hub = EventHub(environment: harness.environment) { .object([]) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask(executorPreference: harness.environment.executor) {
                    try? await hub.run()
                }
                defer { group.cancelAll() }
                try await body(hub, ScriptedChanges(), harness.environment)
            }
        }
    }

    @Test func connectionsAreCountedForEachAccountAndForAll() async throws {
        try await withHub { hub, _, _ in
            for _ in 0..<EventHub.connectionsOfAccountMax {
                #expect(await hub.admit("0"))
            }
            #expect(await !hub.admit("0"))
            await hub.dismiss("0")
            #expect(await hub.admit("0"))
            for account in 1..<8 {
                for _ in 0..<EventHub.connectionsOfAccountMax {
                    #expect(await hub.admit("\(account)"))
                }
            }
            #expect(await !hub.admit("another"))
            await hub.dismiss("1")
            #expect(await hub.admit("another"))
        }
    }

    @Test func onlySoManyBucketsAreFollowed() async throws {
        try await withHub { hub, changes, _ in
            func listen(_ name: Int) async -> Bool {
                let (_, beginning) = await hub.listen(
                    to: .bucket(account: "a", name: "\(name)"), changes: changes, prefix: "",
                    after: nil, Heard().deliver)
                if case .tooMany = beginning { return false }
                return true
            }
            for name in 0..<EventHub.streamsMax { #expect(await listen(name)) }
            #expect(await !listen(EventHub.streamsMax))
            #expect(await listen(0))
        }
    }

    @Test func everybodyHearsOfHisPrefixUntilHeLeaves() async throws {
        try await withHub { hub, changes, environment in
            let (some, all) = (Heard(), Heard())
            let (listener, beginning) = await hub.listen(
                to: Self.source, changes: changes, prefix: "a/", after: nil, some.deliver)
            _ = await hub.listen(
                to: Self.source, changes: changes, prefix: "", after: nil, all.deliver)
            guard case .at(let start, let missed) = beginning else {
                Issue.record("\(beginning)")
                return
            }
            #expect(missed.isEmpty)
            let now = environment.wallTime()
            changes.tell(["a/1", "b/1"].map { ScriptedChanges.write($0, modified: now) })
            let first = try await all.names(2, environment)
            #expect(first == ["created a/1", "created b/1"])
            #expect(some.names == ["created a/1"])
            await hub.leave(Self.source, listener)
            changes.tell(["a/2", "b/2"].map { ScriptedChanges.write($0, modified: now) })
            let second = try await all.names(4, environment)
            #expect(second.count == 4)
            #expect(some.names == ["created a/1"])
            // Who comes back gets of what was missed what he listens to.
            let (_, again) = await hub.listen(
                to: Self.source, changes: changes, prefix: "a/", after: start.text, some.deliver)
            guard case .at(_, let late) = again else {
                Issue.record("\(again)")
                return
            }
            #expect(late.map(\.event.key) == ["a/1", "a/2"])
        }
    }

    @Test func aWriteIsToldOnceAndWhatWasThereBeforeIsNot() async throws {
        try await withHub { hub, changes, environment in
            let heard = Heard()
            _ = await hub.listen(
                to: Self.source, changes: changes, prefix: "", after: nil, heard.deliver)
            let now = environment.wallTime()
            // An hour, since this may be minutes after it began to listen when many tests run.
            let old = WallTime(milliseconds: now.milliseconds - 3_600_000)
            changes.tell([
                ScriptedChanges.write("twice", modified: now),
                ScriptedChanges.write("twice", modified: now),
                ScriptedChanges.write("twice", 2, modified: now),
                // Its tags have changed.
                ScriptedChanges.write("old", modified: old),
                ScriptedChanges.write("back", kind: .restored, modified: old),
                ScriptedChanges.write("old", 2, kind: .removed, modified: old),
            ])
            let told = try await heard.names(4, environment)
            #expect(
                told == [
                    "created twice", "created twice", "restored back", "removed old",
                ])
        }
    }

    @Test func onlySoManyWritesAreRemembered() async throws {
        try await withHub { hub, changes, environment in
            let heard = Heard()
            _ = await hub.listen(
                to: Self.source, changes: changes, prefix: "", after: nil, heard.deliver)
            let now = environment.wallTime()
            // The first comes again when there are as many others as are remembered.
            let keys = (0...4096).map { "\($0)" } + ["0"]
            changes.tell(keys.map { ScriptedChanges.write($0, modified: now) })
            let told = try await heard.names(4098, environment)
            #expect(told.count == 4098)
        }
    }

    @Test func whoHasMissedChangesIsToldToListAnew() async throws {
        try await withHub { hub, changes, environment in
            let heard = Heard()
            let (_, beginning) = await hub.listen(
                to: Self.source, changes: changes, prefix: "p", after: nil, heard.deliver)
            guard case .at(let start, _) = beginning else {
                Issue.record("\(beginning)")
                return
            }
            let write = ScriptedChanges.write("p", modified: environment.wallTime())
            changes.tell([write])
            changes.loseAll()
            changes.tell([])
            changes.tell([write])
            let told = try await heard.names(3, environment)
            #expect(told == ["created p", "reset", "created p"])
            for position in [start.text, "nonsense"] {
                let (_, again) = await hub.listen(
                    to: Self.source, changes: changes, prefix: "p", after: position,
                    Heard().deliver)
                guard case .lost = again else {
                    Issue.record("\(again)")
                    continue
                }
            }
        }
    }
}

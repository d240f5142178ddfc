import CyxCore
import Foundation
import Testing

/// Every decoder over its corpus and inputs mutated from it, the same ones each time. `make fuzz`
/// goes further: there coverage guides what is tried.
@Suite(.serialized) struct RegressionTests {
    private static let corpora = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Corpora")

    private static func corpus(_ target: FuzzTarget) throws -> [[UInt8]] {
        let folder = corpora.appending(path: target.name)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        return try names.map { [UInt8](try Data(contentsOf: folder.appending(path: $0))) }
    }

    private func run(_ target: FuzzTarget, _ input: [UInt8]) -> Bool {
        do {
            return try target.decode(input)
        } catch {
            Issue.record("\(target.name): \(error), of \(Hex.encode(input))")
            return false
        }
    }

    @Test(arguments: FuzzTarget.all.map(\.name))
    func noInputBreaksADecoder(name: String) throws {
        let target = try #require(FuzzTarget.all.first { $0.name == name })
        let corpus = try Self.corpus(target)
        #expect(!corpus.isEmpty)
        for input in corpus { _ = run(target, input) }
        var mutator = Mutator(
            seed: name.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) }, corpus: corpus,
            bytesMax: target.bytesMax)
        for _ in 0..<target.trials { _ = run(target, mutator.next()) }
    }

    /// Otherwise the mutations would start from nothing that reaches the decoder's depths.
    @Test(arguments: FuzzTarget.all.map(\.name))
    func whatEncodersWriteIsTakenAndInTheCorpus(name: String) throws {
        let target = try #require(FuzzTarget.all.first { $0.name == name })
        let corpus = try Self.corpus(target)
        for seed in try target.seeds() {
            #expect(run(target, seed), "\(Hex.encode(seed))")
        }
        for count in [0, 1, 2] { _ = run(target, [UInt8](repeating: 0, count: count)) }
        #expect(corpus.contains { (try? target.decode($0)) == true })
    }

    @Test func everyTargetHasANameOfItsOwn() {
        #expect(Set(FuzzTarget.all.map(\.name)).count == FuzzTarget.all.count)
    }
}

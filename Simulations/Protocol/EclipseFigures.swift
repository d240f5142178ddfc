import CyxCore
import CyxOverlay
import CyxTransport

/// The defences that an eclipse has to get past; a run may switch each off.
package enum EclipseDefence: String, CaseIterable, Sendable {
    /// A record counts only if its subject signed it, so that inventions end no lookup.
    case signedRecords = "signed records"
    /// Two contacts per network in each bucket, and among those that a lookup asks and returns.
    case diversity = "network diversity"
    /// Storing at, and asking, everybody within the distance that k peers are to be expected in.
    case region = "region"
    /// Disjoint paths before storing.
    case disjointPaths = "disjoint paths"
}

/// The active Sybil attack of Netto, Cholez and Ignat 2025 (arXiv 2505.01139): the attacker makes
/// identities closer to one key than any honest peer, lets them into the routing tables and answers
/// in the protocol's terms but falsely: with a record that is not one, which ends lookups early, and
/// with each other, nearest the key, as the only contacts. Records that are stored at them vanish.
package struct EclipseAttack: Sendable, Equatable {
    package var sybils: Int
    /// IPv4 /24s that they share; the dear part of the attack.
    package var networks: Int
    /// Further identities anywhere in the key space that lie about this key, each in a network of
    /// its own.
    package var scattered: Int

    package init(sybils: Int, networks: Int, scattered: Int = 0) {
        self.sybils = sybils
        self.networks = networks
        self.scattered = scattered
    }

    /// Few identities, each in a network of its own or spread over ten; a crowd in four networks of
    /// a data centre; and few with a fifth of the whole network on their side.
    package static let shapes = [
        EclipseAttack(sybils: 45, networks: 45), EclipseAttack(sybils: 45, networks: 10),
        EclipseAttack(sybils: 300, networks: 4),
        EclipseAttack(sybils: 45, networks: 45, scattered: 2500),
    ]

    /// Identities around `target`: closer to it than the closest honest peer by a few bits, which
    /// takes about as many tries each as there are honest peers, times two per bit.
    func identities(
        around target: Digest, honest: Int, _ generator: inout SeededGenerator
    ) -> [PeerContact] {
        let depth = Self.bits(of: honest) + 2
        let elsewhere = (0..<scattered).map { number in
            let network = UInt128(45) << 24 | UInt128(1000 + number) << 8 | 1
            return PeerContact(
                peer: PeerID(generator.digest()),
                address: SocketAddress(ip: 0xFFFF << 32 | network, port: 7700))
        }
        return (0..<sybils).map { number in
            var id = generator.digest()
            let mask: UInt64 = ~0 << UInt64(64 - depth)
            id.word0 = target.word0 & mask | id.word0 & ~mask
            // 45.0.0.0/8 is assigned and in use.
            let network = UInt128(number % networks)
            let ip =
                0xFFFF << 32 | UInt128(45) << 24 | network << 8 | UInt128(number / networks + 1)
            return PeerContact(peer: PeerID(id), address: SocketAddress(ip: ip, port: 7700))
        } + elsewhere
    }

    private static func bits(of count: Int) -> Int { Int.bitWidth - count.leadingZeroBitCount }
}

package struct EclipseFigures: Sendable, Equatable {
    package var attack: EclipseAttack
    package var disabled: EclipseDefence?
    package var found: Int
    package var lookups: Int
    /// Mean number of honest peers that kept the record.
    package var honestHolders: Double
    /// Mean requests of one lookup.
    package var requests: Double

    package var share: Double { Double(found) / Double(lookups) }

    /// Publishes one record under attack and looks it up from `lookups` honest peers, for each of
    /// `keys` keys, each with an attack of its own. `disabled` nil leaves all defences on; `bare`
    /// switches all off.
    package static func measure(
        _ attack: EclipseAttack, without disabled: [EclipseDefence], peers: Int, keys: Int,
        lookups: Int, seed: UInt64
    ) -> EclipseFigures {
        var found = 0
        var holders = 0
        var requests = 0
        for key in 0..<keys {
            // A stream that neither the population nor the run draws from.
            var generator = SeededGenerator(seed: (seed &+ UInt64(key)) ^ 0x5B11)
            let target = generator.digest()
            let sybils = attack.identities(around: target, honest: peers, &generator)
            var parameters = KademliaParameters()
            parameters.diversity = disabled.contains(.diversity) ? .none : .networks
            var run = LookupRun(
                population: Population(
                    honest: peers, deadShare: 0, others: sybils, parameters: parameters,
                    seed: seed &+ UInt64(key)),
                model: .planetLab, loss: 0.01, seed: seed &+ UInt64(key))
            let places = Set(sybils.compactMap { run.population.index(of: $0.peer) })
            run.deviation = LookupRun.Deviation(
                isLiar: { places.contains($0) }, answer: Array(sybils.prefix(attack.sybils)),
                isBelieved: disabled.contains(.signedRecords))
            let asksRegion = !disabled.contains(.region)
            let published = run.run(
                .publish, keys: [target],
                paths: disabled.contains(.disjointPaths) ? 1 : parameters.paths,
                asksRegion: asksRegion)
            holders += published.reduce(0) { $0 + $1.holders.subtracting(places).count }
            let retrieved = run.run(
                .retrieve, keys: [Digest](repeating: target, count: lookups),
                asksRegion: asksRegion)
            found += retrieved.count { $0.finished != nil }
            requests += retrieved.reduce(0) { $0 + $1.lookup.requests }
        }
        return EclipseFigures(
            attack: attack, disabled: disabled.count == 1 ? disabled.first : nil, found: found,
            lookups: keys * lookups, honestHolders: Double(holders) / Double(keys),
            requests: Double(requests) / Double(keys * lookups))
    }
}

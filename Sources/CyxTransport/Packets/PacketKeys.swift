internal import CyxCrypto

/// The keys of one connection's packets in both directions, and their updates (RFC 9001 §6).
///
/// Three generations of read keys are held at most: those in use, those before them for a while, as
/// packets may be late, and those after them, so that no packet's handling takes the time that
/// deriving keys does (§6.3, §9.5).
struct PacketKeys {
    /// Probe timeouts for which old read keys are kept, and which lie between updates (§6.5).
    static let retentionProbeTimeouts: Int64 = 3
    /// Packets under one AES-GCM key after which it must not be used any more (§6.6).
    static let packetsPerKeyMax: UInt64 = 1 << 23

    private struct Generation {
        let sealing: PacketProtector
        let opening: PacketProtector

        func next() -> Generation { Generation(sealing: sealing.next(), opening: opening.next()) }
    }

    private var current: Generation
    private var next: Generation?
    private var previous: PacketProtector?
    /// How often the keys were updated, by either side.
    private(set) var updates: UInt64 = 0

    /// Packets sealed with the keys in use.
    private(set) var sealedCount: UInt64 = 0
    /// Number of the first packet that the keys in use sealed.
    private var firstSealed: UInt64? = 0
    /// When the peer acknowledged a packet under the keys in use.
    private var confirmedTime: Int64?
    /// Lowest and highest number opened with the keys in use.
    private var lowestOpened: UInt64?
    private var highestOpened: UInt64?
    /// Highest number opened with the keys before them.
    private var highestOpenedBefore: UInt64?
    /// An acknowledgment of a packet under the keys in use went out under them.
    private var isAcknowledgmentSent = true
    /// The packet at hand came under the keys before those in use.
    private var isLate = false
    /// When `next` is to be derived.
    private var deriveTime: Int64?
    /// When `previous` is to be forgotten; `.min` where that is still to be said.
    private var forgetTime: Int64?

    /// `retention` are three probe timeouts: the first update's keys are derived only after that
    /// time, which spares short connections the work (§6.5 allows a wait).
    init(
        sealing: [UInt8], opening: [UInt8], suite: CipherSuite,
        engine: AESGCM.Engine = .best, now: Int64, retention: Int64
    ) {
        current = Generation(
            sealing: PacketProtector(secret: sealing, suite: suite, engine: engine),
            opening: PacketProtector(secret: opening, suite: suite, engine: engine))
        deriveTime = now + retention
    }

    var sealing: PacketProtector { current.sealing }

    /// The key phase bit of packets sent now.
    var sealingPhase: Bool { updates & 1 == 1 }

    // MARK: Time

    /// When `maintain` wants to be called.
    var deadline: Int64? {
        switch (deriveTime, forgetTime) {
        case (let derive?, let forget?): min(derive, forget)
        case (let derive, let forget): derive ?? forget
        }
    }

    /// Derives and forgets keys, between packets rather than while one is handled.
    mutating func maintain(now: Int64, retention: Int64) {
        if forgetTime == .min {
            forgetTime = now + retention
        } else if let forgetTime, now >= forgetTime {
            previous = nil
            self.forgetTime = nil
        }
        if let deriveTime, now >= deriveTime {
            next = current.next()
            self.deriveTime = nil
        }
    }

    // MARK: Sending

    /// Seals a packet whose first byte has `sealingPhase`.
    @inline(__always)
    mutating func seal(
        _ packet: UnsafeMutableRawBufferPointer, headerSize: Int, numberSize: Int, number: UInt64
    ) {
        if firstSealed == nil { firstSealed = number }
        sealedCount += 1
        current.sealing.seal(
            packet, headerSize: headerSize, numberSize: numberSize, number: number)
    }

    /// Whether we may start an update: the last one is known to the peer, for so long that neither
    /// side waits for packets from before it (§6.1, §6.5).
    func mayUpdate(now: Int64, retention: Int64) -> Bool {
        guard let confirmedTime, next != nil, previous == nil else { return false }
        return now - confirmedTime >= retention
    }

    /// Goes on to the next keys. `maintain` derives their successors.
    mutating func update(now: Int64) {
        guard let next else { preconditionFailure("an update is made once its keys are there") }
        previous = current.opening
        highestOpenedBefore = highestOpened
        current = next
        self.next = nil
        deriveTime = now
        forgetTime = nil
        updates += 1
        sealedCount = 0
        firstSealed = nil
        confirmedTime = nil
        lowestOpened = nil
        highestOpened = nil
        isAcknowledgmentSent = false
    }

    /// An ACK frame was written into the packet that is sealed next.
    mutating func acknowledgmentSent() {
        if lowestOpened != nil { isAcknowledgmentSent = true }
    }

    // MARK: Receiving

    /// Opens a short-header packet under the keys that its key phase and its number name; nil if it is not
    /// authentic. Throws `keyUpdate` where an authentic packet shows that the peer broke the rules
    /// of updates. The plaintext goes to the start of `plaintext`, which has room for `packet` and
    /// may be `scratch` itself; without authenticity, what is written there means nothing.
    mutating func open(
        _ packet: UnsafeRawBufferPointer, largestReceived: UInt64?,
        scratch: UnsafeMutableRawBufferPointer, into plaintext: UnsafeMutableRawBufferPointer,
        now: Int64
    ) throws(TransportError) -> OpenedPacket? {
        guard
            let clear = current.opening.unmask(
                packet, numberOffset: PacketFormat.shortHeaderSize,
                largestReceived: largestReceived, into: scratch)
        else { return nil }
        let phase = clear.first & PacketFormat.keyPhaseBit != 0
        isLate = false
        func open(under keys: PacketProtector?) -> OpenedPacket? {
            keys?.open(packet, clear, scratch: scratch, into: plaintext)
        }
        if phase == sealingPhase {
            if let opened = open(under: current.opening) {
                try noteOpened(opened.number)
                return opened
            }
        } else if let lowestOpened, clear.number > lowestOpened {
            if let opened = open(under: next?.opening) {
                try followUpdate(opened.number, now: now)
                return opened
            }
        } else if let opened = open(under: previous) {
            highestOpenedBefore = max(highestOpenedBefore ?? 0, opened.number)
            isLate = true
            return opened
        }
        // Old keys under a new number (§6.4). Tried whatever the phase, so that the time it takes
        // does not tell the phase of an injected packet.
        if open(under: previous) != nil { throw .keyUpdate }
        return nil
    }

    @inline(__always)
    private mutating func noteOpened(_ number: UInt64) throws(TransportError) {
        // New keys under a number below one that came under the old ones (§6.4).
        if let highestOpenedBefore, number < highestOpenedBefore { throw .keyUpdate }
        // The peer has the new keys: what it sent under the old ones is under way at most (§6.5).
        if lowestOpened == nil, previous != nil { forgetTime = .min }
        lowestOpened = min(lowestOpened ?? number, number)
        highestOpened = max(highestOpened ?? number, number)
    }

    /// The peer updated its keys: so do we, before we acknowledge (§6.2).
    private mutating func followUpdate(_ number: UInt64, now: Int64) throws(TransportError) {
        // A second update before we acknowledged the first (§6.2).
        guard isAcknowledgmentSent else { throw .keyUpdate }
        update(now: now)
        try noteOpened(number)
    }

    /// The packet at hand acknowledges `largest`.
    mutating func acknowledged(_ largest: UInt64, now: Int64) throws(TransportError) {
        guard let firstSealed, largest >= firstSealed else { return }
        // Who acknowledges a packet under new keys has them, and must use them (§6.2).
        guard !isLate else { throw .keyUpdate }
        if confirmedTime == nil { confirmedTime = now }
    }
}

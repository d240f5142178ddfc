import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport
import SimulationHarness
import Testing

private let now = Instant(nanoseconds: 0)

private func address(_ text: String) throws -> SocketAddress { try SocketAddress(parsing: text) }

@Suite struct AddressRuleTests {
    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1:1", true), ("10.0.0.0/8", "11.0.0.1:1", false),
        ("192.0.2.7/32", "192.0.2.7:1", true), ("192.0.2.7/32", "192.0.2.8:1", false),
        ("fd00::/8", "[fdab::1]:1", true), ("fd00::/8", "[fe80::1]:1", false),
        ("0.0.0.0/0", "10.1.1.1:1", true), ("0.0.0.0/0", "[fd00::1]:1", false),
    ])
    func aRangeHoldsWhatSharesItsBits(_ range: String, _ text: String, _ isIn: Bool) throws {
        let range = try #require(AddressRange(parsing: range))
        #expect(range.contains(try address(text)) == isIn)
    }

    @Test(arguments: [
        "10.0.0.0", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "/8", "fd00::/129", "a/8", "::/0/0",
        "10.0.0.0/+8",
    ])
    func whatIsNoRangeIsRefused(_ text: String) { #expect(AddressRange(parsing: text) == nil) }

    @Test(arguments: ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8", "::/0"])
    func aRangeIsWrittenAsItIsRead(_ text: String) throws {
        #expect(try #require(AddressRange(parsing: text)).description == text)
    }

    @Test(arguments: [
        "10.1.2.3:1", "172.16.0.1:1", "192.168.0.1:1", "127.0.0.1:1", "169.254.0.1:1",
        "100.64.0.1:1", "[::1]:1", "[fe80::1]:1", "[fd00::1]:1", "0.0.0.0:1", "[::]:1", "9.9.9.9:0",
    ])
    func inAPublicNetworkNothingPrivateIsDialed(_ text: String) throws {
        let address = try address(text)
        #expect(!AddressRule.global.allows(address))
        #expect(AddressRule.global.published(address).isUnspecified)
    }

    @Test func aPrivateNetworkSaysWhatIsItsOwn() throws {
        let range = try #require(AddressRange(parsing: "192.168.0.0/16"))
        let rule = AddressRule(ownRanges: [range])
        #expect(rule.allows(try address("192.168.7.7:1")))
        #expect(rule.allows(try address("9.9.9.9:1")))
        #expect(!rule.allows(try address("10.0.0.1:1")))
        #expect(AddressRule.all.allows(try address("10.0.0.1:1")))
        #expect(AddressRule.all.allows(try address("[fd00::1]:1")))
        #expect(!AddressRule.all.allows(SocketAddress(virtual: 7)))
    }

    @Test func aPeerOnLoopbackReachesLoopbackAlone() throws {
        let rule = AddressRule.open(listening: try address("127.0.0.1:0"))
        #expect(rule.allows(try address("127.0.0.1:9")))
        #expect(!rule.allows(try address("10.0.0.1:9")))
        #expect(AddressRule.open(listening: try address("0.0.0.0:0")) == .global)
    }
}

@Suite struct ObservedAddressTests {
    private func reporter(_ number: UInt8, network: UInt8? = nil) -> PeerContact {
        PeerContact(
            peer: PeerID(Digest(UInt64(number), 0, 0, 0)),
            address: SocketAddress(ipv4: (9, 9, network ?? number, number), port: 7))
    }

    private func machine(trustsPeers: Bool = false) throws -> ObservedAddresses {
        ObservedAddresses(
            local: try address("192.168.0.2:7700"), rule: .global, trustsPeers: trustsPeers)
    }

    @Test func oneNetworkCannotSetTheAddress() throws {
        let (true1, lie) = (try address("8.1.1.1:700"), try address("8.6.6.6:1"))
        var observed = try machine()
        for number in 1...9 {
            observed.record(lie, by: reporter(UInt8(number), network: 66), now: now)
        }
        #expect(observed.publicAddress(now: now) == nil)
        observed.record(true1, by: reporter(20), now: now)
        observed.record(true1, by: reporter(21), now: now)
        #expect(observed.publicAddress(now: now) == true1)
        #expect(observed.mapping(now: now) == .endpointIndependent)
        #expect(observed.isBehindNAT(now: now))
        #expect(observed.candidates(now: now) == [true1, lie])
    }

    @Test func aDifferentPortForEachIsAddressDependent() throws {
        var observed = try machine()
        for number in 1...3 {
            let address = SocketAddress(ipv4: (8, 1, 1, 1), port: 1000 + UInt16(number))
            observed.record(address, by: reporter(UInt8(number)), now: now)
        }
        #expect(observed.mapping(now: now) == .addressDependent)
        #expect(observed.publicAddress(now: now) == nil)
        #expect(observed.candidates(now: now).count == 3)
    }

    @Test func whoIsSeenAsItIsNeedsNobodysHelp() throws {
        var observed = try machine()
        observed.local = try address("8.1.1.1:7700")
        observed.record(try address("8.1.1.1:7700"), by: reporter(1), now: now)
        observed.record(try address("8.1.1.1:7700"), by: reporter(2), now: now)
        #expect(observed.mapping(now: now) == .none)
        #expect(!observed.isBehindNAT(now: now))
        // One liar among three does not change that.
        observed.record(try address("8.1.1.1:9"), by: reporter(3), now: now)
        #expect(observed.mapping(now: now) == .none)
    }

    @Test func whoListensOnAllAddressesLearnsWhichOneCounts() throws {
        var observed = try machine()
        observed.local = try address("0.0.0.0:7700")
        observed.record(try address("8.1.1.1:7700"), by: reporter(1), now: now)
        observed.record(try address("8.1.1.1:7700"), by: reporter(2), now: now)
        #expect(observed.mapping(now: now) == .none)
        #expect(!observed.isBehindNAT(now: now))
        #expect(observed.publicAddress(now: now) == (try address("8.1.1.1:7700")))
        observed.reset()
        observed.record(try address("8.1.1.1:9"), by: reporter(1), now: now)
        #expect(observed.isBehindNAT(now: now))
    }

    @Test func inAPrivateNetworkOneMembersWordWillDo() throws {
        var observed = try machine(trustsPeers: true)
        observed.record(try address("8.1.1.1:9"), by: reporter(1), now: now)
        #expect(observed.publicAddress(now: now) == (try address("8.1.1.1:9")))
    }

    @Test func reportsGrowOldAndPrivateOnesDoNotCount() throws {
        var observed = try machine()
        observed.record(try address("10.0.0.1:9"), by: reporter(1), now: now)
        #expect(observed.mapping(now: now) == .unknown)
        observed.record(try address("8.1.1.1:9"), by: reporter(1), now: now)
        observed.record(try address("8.1.1.1:9"), by: reporter(2), now: now)
        let later = now + ObservedAddresses.lifetime + .seconds(1)
        #expect(observed.publicAddress(now: now) != nil)
        #expect(observed.publicAddress(now: later) == nil)
        #expect(!observed.isBehindNAT(now: later))
    }

    @Test func onlySoManyNetworksAreRemembered() throws {
        var observed = try machine()
        for number in 1...100 {
            let seen = SocketAddress(ipv4: (8, 1, 1, UInt8(number)), port: 1)
            observed.record(seen, by: reporter(UInt8(number)), now: now)
        }
        #expect(observed.candidates(now: now).count == ObservedAddresses.candidatesMax)
    }
}

@Suite struct PublicRecordTests {
    private let key = SigningKey(seed: [UInt8](repeating: 3, count: 32))

    private func overlay(_ addresses: AddressRule) -> (SimulatedWorld, Overlay) {
        let world = SimulatedWorld(seed: 1)
        let peer = world.addPeer()
        let id = key.verifyingKey.peerID
        let info = MemberInfo(
            contact: PeerContact(peer: id, address: peer.address), roles: .storage, zone: "a",
            store: nil, allocatedBytes: 0, freeBytes: 0)
        var options = OverlayOptions()
        options.addresses = addresses
        let messaging = DirectMessaging(world: world, peer: peer, id: id)
        return (
            world,
            Overlay(
                environment: peer.environment, messaging: messaging, identity: key, info: info,
                options: options)
        )
    }

    /// What an overlay at 10.0.0.1 says of its own address.
    private func published(_ addresses: AddressRule) -> SocketAddress? {
        let (_, overlay) = overlay(addresses)
        return overlay.snapshot.members[key.verifyingKey.peerID]?.info.contact.address
    }

    @Test func aPublicRecordNamesNoPrivateAddress() {
        #expect(published(.global)?.isUnspecified == true)
        #expect(published(.all)?.isUnspecified == false)
    }

    @Test func relaysSurviveTheWireAndAreBounded() throws {
        var info = MemberInfo(
            contact: PeerContact(
                peer: key.verifyingKey.peerID, address: try address("8.1.1.1:9")),
            roles: .storage, zone: "a", store: nil, allocatedBytes: 0, freeBytes: 0)
        let relay = PeerContact(
            peer: PeerID(Digest(1, 2, 3, 4)), address: try address("8.1.1.2:9"))
        info.relays = [relay, relay, relay]
        let network = NetworkID(.zero)
        let signed = MemberStatement.sign(info, incarnation: 1, key: key, network: network)
        let read = try MemberStatement.verify(signed.record, network: network) { _, _ in true }
        #expect(read?.info == info)
        info.relays.append(relay)
        let long = MemberStatement.sign(info, incarnation: 2, key: key, network: network)
        #expect(throws: MemberStatementError.invalid("relays")) {
            try MemberStatement.verify(long.record, network: network) { _, _ in true }
        }
    }
}

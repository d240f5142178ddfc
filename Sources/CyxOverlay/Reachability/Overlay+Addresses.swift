internal import CyxCore
internal import CyxTransport

/// What becomes of the addresses that records name.
extension Overlay {
    /// Remembers how a member can be reached, as far as its record may be believed.
    func learn(_ info: MemberInfo) {
        guard options.addresses.allows(info.contact.address) else { return }
        messaging.learn(info.contact)
    }

    /// Whether others may be told of a peer as one that they can just dial.
    func isContact(_ info: MemberInfo) -> Bool {
        info.relays.isEmpty && options.addresses.allows(info.contact.address)
    }

    /// Whether a record is worth keeping for others: they can dial its peer, or meet it.
    func isPublishable(_ info: MemberInfo) -> Bool {
        let contacts = info.relays.isEmpty ? [info.contact] : info.relays
        return contacts.contains { options.addresses.allows($0.address) }
            && (info.contact.address.isUnspecified
                || options.addresses.allows(info.contact.address))
    }
}

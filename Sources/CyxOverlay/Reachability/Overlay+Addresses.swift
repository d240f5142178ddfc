internal import CyxCore
internal import CyxTransport

/// What becomes of the addresses that records name.
extension Overlay {
    /// Remembers how a member can be reached, as far as its record may be believed.
    func learn(_ info: MemberInfo) {
        hide(info)
        guard options.addresses.allows(info.contact.address) else { return }
        messaging.learn(info.contact)
    }

    /// Tells the transport which peers cannot just be dialed, when that changes.
    private func hide(_ info: MemberInfo) {
        guard let paths = messaging as? any PathControl else { return }
        if info.relays.isEmpty {
            if hidden.remove(info.peer) != nil { paths.hide(info.peer, false) }
        } else {
            if hidden.count >= MembershipLimits.members { hidden = [] }
            if hidden.insert(info.peer).inserted { paths.hide(info.peer, true) }
        }
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

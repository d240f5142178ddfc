package import CyxCore

/// A pin as its account sees it.
package struct PinInfo: Hashable, Sendable {
    /// 32 hexadecimal digits.
    package var id: String
    /// Whose version it keeps; neither has to be there any more.
    package var bucket: String
    package var key: String
    package var size: UInt64
    package var etag: String
    package var created: WallTime
    /// When it ends by itself; nil: never.
    package var until: WallTime?

    package init(
        id: String, bucket: String, key: String, size: UInt64, etag: String, created: WallTime,
        until: WallTime?
    ) {
        self.id = id
        self.bucket = bucket
        self.key = key
        self.size = size
        self.etag = etag
        self.created = created
        self.until = until
    }
}

/// One page of an account's pins, by ID.
package struct PinListing: Sendable {
    package var pins: [PinInfo]
    /// Where the next page begins (exclusive); nil when this was the last.
    package var next: String?

    package init(pins: [PinInfo], next: String?) {
        self.pins = pins
        self.next = next
    }
}

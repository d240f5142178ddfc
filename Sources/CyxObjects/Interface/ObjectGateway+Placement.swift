package import CyxCore

/// Where one segment of an object lies.
package struct SegmentPlacement: Hashable, Sendable {
    package var segment: SegmentID
    package var code: Redundancy
    /// Who holds which index now, by index; two peers may hold the same one for a while.
    package var holders: [HolderEntry]
}

extension ObjectGateway {
    /// The holders of each segment of an object, as the tables have them now; empty for an object
    /// that lies in its row.
    package func placement(
        of key: String, version: String? = nil, in bucket: String
    ) async throws -> [SegmentPlacement] {
        let handle = try await handle(bucket)
        let head = try await object(key, try VersionSelector(version), in: handle)
        return try await placement(of: head, in: handle)
    }

    /// The same for what a pin keeps.
    package func placement(pin id: String) async throws -> [SegmentPlacement] {
        let pin = try await pinned(id)
        return try await placement(of: pin.head, in: handle(pin))
    }

    private func placement(
        of head: HeadRow, in handle: BucketHandle
    ) async throws -> [SegmentPlacement] {
        guard head.chunkBytesAreElsewhere else { return [] }
        // Another gateway may have re-coded it since it was read here.
        versions.remove(
            VersionID(position: handle.keys.position(of: head.key), write: head.write))
        var placements: [SegmentPlacement] = []
        for segment in try await content(of: head, in: handle).segments {
            let holders = try await context.provenHolders(of: segment.shape)
            placements.append(
                SegmentPlacement(
                    segment: segment.shape.id, code: segment.shape.code,
                    holders: holders.map(\.entry)))
        }
        return placements
    }
}

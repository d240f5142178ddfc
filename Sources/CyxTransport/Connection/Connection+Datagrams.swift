/// Unreliable datagrams (RFC 9221): congestion controlled and acknowledged, but neither repeated
/// nor split nor under flow control.
extension Connection {
    /// Largest DATAGRAM frame that this side takes, as it says in its parameters: any that fits
    /// into a packet (§3 recommends this value).
    static let datagramFrameSizeMax: UInt64 = 65_535
    /// Type and length before the bytes: packets leave 2 bytes for the length.
    static let datagramHeaderSize = 3

    /// The most bytes that one datagram to this peer may have now; 0 if it takes none.
    var datagramBytesMax: Int {
        let packet = path.datagramSize - Connection.shortOverheadMax
        let frame = Int(min(peerDatagramFrameSizeMax, UInt64(packet)))
        return max(0, frame - Connection.datagramHeaderSize)
    }

    /// Queues a datagram; how many were dropped for that: older ones of a full queue, or this one
    /// if it can never be sent.
    mutating func queueDatagram(_ bytes: [UInt8], now: Int64) -> Int {
        guard phase == .established, datagramBytesMax > 0, bytes.count <= datagramBytesMax else {
            // Perhaps the path carries more than was tried so far.
            path.mtu.packetWasFull()
            return 1
        }
        lastUse = now
        return datagrams.append(bytes)
    }

    /// A DATAGRAM frame of `size` bytes with `bytes` in it arrived (§3: larger than we said is an
    /// error; we take whatever a packet holds).
    mutating func handleDatagram(_ bytes: UnsafeRawBufferPointer, now: Int64) {
        lastUse = now
        events.append(.datagram([UInt8](bytes)))
    }

    /// Writes waiting datagrams while they fit; true if it wrote any.
    mutating func writeDatagrams(to writer: inout PacketWriter) -> Bool {
        var hasWritten = false
        while let bytes = datagrams.first {
            guard bytes.count <= datagramBytesMax else {
                // The path's packets have become smaller since it was queued.
                datagrams.removeFirst()
                datagramsDropped += 1
                continue
            }
            guard writer.remaining >= Connection.datagramHeaderSize + bytes.count else { break }
            writer.writeDatagram(bytes)
            datagrams.removeFirst()
            sent.appendFrame(.datagram)
            hasWritten = true
        }
        return hasWritten
    }
}

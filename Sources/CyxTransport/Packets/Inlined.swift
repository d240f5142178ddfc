internal import CyxCore

// What of other modules every packet asks. There it would be a call each time.

extension SocketAddress {
    /// The same as `==`.
    @inline(__always)
    func isSame(_ other: SocketAddress) -> Bool {
        low == other.low && high == other.high && port == other.port
    }
}

extension ECNCodepoint {
    /// A router may turn, or has turned, it into `ce`.
    var isMarked: Bool {
        switch self {
        case .notECT: false
        case .ect0, .ect1, .ce: true
        }
    }

    /// The same as `== .ce`.
    var isCongested: Bool {
        switch self {
        case .ce: true
        case .notECT, .ect0, .ect1: false
        }
    }
}

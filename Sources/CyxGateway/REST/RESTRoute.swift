/// What a request to `/api/v1` asks for.
enum RESTRoute: Equatable, Sendable, CaseIterable {
    case createToken, revokeToken
    case describeUser
    case createShare, listShares, revokeShare
    case openEvents
    case createDataset, getDataset, streamDataset, describeDataset, updateDataset, deleteDataset
    case listDatasets, searchDatasets

    /// Whether it also answers requests of nobody in particular.
    var isOpen: Bool {
        switch self {
        case .getDataset, .streamDataset, .describeDataset, .searchDatasets: true
        default: false
        }
    }

    /// `CreateToken`, for the log and the metrics.
    var name: String {
        let name = "\(self)"
        return name.prefix(1).uppercased() + name.dropFirst()
    }

    /// How it is asked for: a method, and the parts of the path, of which `*` is any.
    var patterns: [(method: String, path: [String])] {
        switch self {
        case .createToken: [("POST", ["tokens"])]
        case .revokeToken: [("DELETE", ["tokens"]), ("DELETE", ["tokens", "*"])]
        case .describeUser: [("GET", ["users", "me"])]
        case .createShare: [("POST", ["shares"])]
        case .listShares: [("GET", ["shares"])]
        case .revokeShare: [("DELETE", ["shares", "*"])]
        case .openEvents: [("GET", ["events"])]
        case .createDataset: [("POST", ["datasets"])]
        case .getDataset: [("GET", ["datasets", "*"]), ("HEAD", ["datasets", "*"])]
        case .streamDataset: [("GET", ["datasets", "*", "stream"])]
        case .describeDataset: [("GET", ["datasets", "*", "metadata"])]
        case .updateDataset:
            [("PATCH", ["datasets", "*", "metadata"]), ("PUT", ["datasets", "*", "metadata"])]
        case .deleteDataset: [("DELETE", ["datasets", "*"])]
        case .listDatasets: [("GET", ["users", "me", "datasets"])]
        case .searchDatasets: [("GET", ["marketplace", "search"])]
        }
    }

    init(method: String, path: [String]) throws(RESTError) {
        var allowed: Set<String> = []
        for route in RESTRoute.allCases {
            for pattern in route.patterns where RESTRoute.fits(path, pattern.path) {
                if pattern.method == method {
                    self = route
                    return
                }
                allowed.insert(pattern.method)
            }
        }
        let text = "/api/v1/" + path.joined(separator: "/")
        guard !allowed.isEmpty else { throw .notFound(text) }
        let methods = allowed.sorted().joined(separator: ", ")
        var error = RESTError("MethodNotAllowed", 405, "\(text) is there for \(methods)")
        error.headers["allow"] = methods
        throw error
    }

    private static func fits(_ path: [String], _ pattern: [String]) -> Bool {
        path.count == pattern.count && zip(path, pattern).allSatisfy { $1 == "*" || $0 == $1 }
    }
}

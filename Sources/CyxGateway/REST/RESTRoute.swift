/// What a request to `/api/v1` asks for.
enum RESTRoute: Equatable, Sendable, CaseIterable {
    case createToken, revokeToken
    case describeUser
    case createShare, listShares, revokeShare
    case openEvents

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

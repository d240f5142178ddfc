/// Writes a Swift enum for a proto enumeration: its values, and `unrecognized` for all others.
struct EnumEmitter {
    private let enumeration: EnumDescriptor
    private let name: String
    private let path: [Int32]
    private let scope: String
    private let comments: [[Int32]: String]

    init(
        _ enumeration: EnumDescriptor, name: String, path: [Int32], scope: String,
        comments: [[Int32]: String]
    ) {
        self.enumeration = enumeration
        self.name = name
        self.path = path
        self.scope = scope
        self.comments = comments
    }

    func emit(into source: inout SourceText) throws(GenerationError) {
        var cases: [(name: String, number: Int32, index: Int)] = []
        var aliases: [(name: String, target: String)] = []
        for (index, value) in enumeration.values.enumerated() {
            let caseName = Names.enumCase(value.name, of: enumeration.name)
            if let first = cases.first(where: { $0.number == value.number }) {
                aliases.append((caseName, first.name))
            } else {
                cases.append((caseName, value.number, index))
            }
        }
        source.documentation(comments[path], fallback: "`\(scope).\(enumeration.name)`.")
        try source.block("package enum \(name): ProtobufEnum") { source throws(GenerationError) in
            for item in cases {
                source.documentation(comments[path + [2, Int32(item.index)]])
                source.line("case \(item.name)")
            }
            source.line("/// A number that this version does not know.")
            source.line("case unrecognized(Int32)")
            for alias in aliases {
                source.line()
                source.line("package static var \(alias.name): Self { .\(alias.target) }")
            }
            source.line()
            try source.block("package init(rawValue: Int32)") { source throws(GenerationError) in
                source.line("switch rawValue {")
                for item in cases { source.line("case \(item.number): self = .\(item.name)") }
                source.line("default: self = .unrecognized(rawValue)")
                source.line("}")
            }
            source.line()
            try source.block("package var rawValue: Int32") { source throws(GenerationError) in
                source.line("switch self {")
                for item in cases { source.line("case .\(item.name): \(item.number)") }
                source.line("case .unrecognized(let value): value")
                source.line("}")
            }
        }
    }
}

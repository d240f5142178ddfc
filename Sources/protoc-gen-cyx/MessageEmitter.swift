/// Writes a Swift struct for a message, with its oneofs and nested types.
struct MessageEmitter {
    private let message: MessageDescriptor
    private let name: String
    private let path: [Int32]
    private let scope: String
    private let types: TypeIndex
    private let comments: [[Int32]: String]

    init(
        _ message: MessageDescriptor, name: String, path: [Int32], scope: String,
        types: TypeIndex, comments: [[Int32]: String]
    ) {
        self.message = message
        self.name = name
        self.path = path
        self.scope = scope
        self.types = types
        self.comments = comments
    }

    /// A stored property: a field that is in no oneof, or a oneof.
    private struct Property {
        var name: String
        var type: String
        var initial: String
        var comment: String?
    }

    func emit(into source: inout SourceText) throws(GenerationError) {
        guard message.extensions.isEmpty else {
            throw GenerationError(message: "\(message.name): extensions are not supported")
        }
        var fields: [Field] = []
        for (index, field) in message.fields.enumerated() {
            fields.append(try Field(field, index: index, types: types))
        }
        let properties = properties(of: fields)
        source.documentation(comments[path], fallback: "`\(scope).\(message.name)`.")
        try source.block("package struct \(name): ProtobufMessage") {
            source throws(GenerationError) in
            try emitNested(into: &source)
            try emitOneofs(fields, into: &source)
            for property in properties {
                source.documentation(property.comment)
                let isNil = property.initial == "nil"
                source.line(
                    "package var \(property.name): \(property.type)"
                        + (isNil ? "" : " = \(property.initial)"))
            }
            if !properties.isEmpty { source.line() }
            try emitInitializers(properties, into: &source)
            source.line()
            try emitMerge(fields, into: &source)
            source.line()
            try emitWrite(fields, into: &source)
        }
    }

    private func oneofName(_ index: Int) -> (property: String, type: String) {
        let name = message.oneofs[index].name
        return (Names.property(name), Names.type(fromSnake: name))
    }

    private func properties(of fields: [Field]) -> [Property] {
        var properties: [Property] = []
        var seenOneofs: Set<Int> = []
        for field in fields {
            if case .member(let oneof) = field.shape {
                guard seenOneofs.insert(oneof).inserted else { continue }
                let names = oneofName(oneof)
                properties.append(
                    Property(
                        name: names.property, type: names.type + "?", initial: "nil",
                        comment: comments[path + [8, Int32(oneof)]]))
            } else {
                properties.append(
                    Property(
                        name: field.name, type: field.type, initial: field.initial,
                        comment: comments[path + [2, Int32(field.index)]]))
            }
        }
        return properties
    }

    private func emitNested(into source: inout SourceText) throws(GenerationError) {
        for (index, nested) in message.messages.enumerated() where !nested.options.isMapEntry {
            let emitter = MessageEmitter(
                nested, name: Names.type(nested.name), path: path + [3, Int32(index)],
                scope: "\(scope).\(message.name)", types: types, comments: comments)
            try emitter.emit(into: &source)
            source.line()
        }
        for (index, enumeration) in message.enums.enumerated() {
            let emitter = EnumEmitter(
                enumeration, name: Names.type(enumeration.name), path: path + [4, Int32(index)],
                scope: "\(scope).\(message.name)", comments: comments)
            try emitter.emit(into: &source)
            source.line()
        }
    }

    private func emitOneofs(
        _ fields: [Field], into source: inout SourceText
    ) throws(GenerationError) {
        for (index, oneof) in message.oneofs.enumerated() {
            let members = fields.filter { field in
                if case .member(index) = field.shape { true } else { false }
            }
            guard !members.isEmpty else { continue }
            source.documentation(
                comments[path + [8, Int32(index)]], fallback: "The members of `\(oneof.name)`.")
            try source.block("package enum \(oneofName(index).type): Hashable, Sendable") {
                source throws(GenerationError) in
                for member in members {
                    source.documentation(comments[path + [2, Int32(member.index)]])
                    source.line("case \(member.name)(\(member.type))")
                }
            }
            source.line()
        }
    }

    private func emitInitializers(
        _ properties: [Property], into source: inout SourceText
    ) throws(GenerationError) {
        source.line("package init() {}")
        guard !properties.isEmpty else { return }
        source.line()
        source.line("package init(")
        for (index, property) in properties.enumerated() {
            let comma = index + 1 < properties.count ? "," : ""
            source.line("    \(property.name): \(property.type) = \(property.initial)\(comma)")
        }
        try source.block(")") { source throws(GenerationError) in
            for property in properties {
                source.line("self.\(property.name) = \(property.name)")
            }
        }
    }

    private func emitMerge(
        _ fields: [Field], into source: inout SourceText
    ) throws(GenerationError) {
        let head = "package mutating func merge(from reader: inout ProtobufReader)"
        try source.block(head + " throws(DecodingError)") { source throws(GenerationError) in
            try source.block("while let field = try reader.nextField()") {
                source throws(GenerationError) in
                guard !fields.isEmpty else {
                    source.line("_ = field")
                    source.line("try reader.skip()")
                    return
                }
                source.line("switch field {")
                for field in fields { emitRead(field, into: &source) }
                source.line("default: try reader.skip()")
                source.line("}")
            }
        }
    }

    private func emitRead(_ field: Field, into source: inout SourceText) {
        source.line("case \(field.number):")
        switch field.shape {
        case .implicit:
            source.line("    try reader.read(&self.\(field.name), as: \(field.codec).self)")
        case .optional:
            source.line("    try reader.readOptional(&self.\(field.name), as: \(field.codec).self)")
        case .repeated:
            source.line("    try reader.readRepeated(&self.\(field.name), as: \(field.codec).self)")
        case .map(let key, let value):
            source.line("    try reader.readMap(")
            source.line("        &self.\(field.name), key: \(key).self, value: \(value).self)")
        case .member(let oneof):
            let property = oneofName(oneof).property
            source.line("    var current: \(field.type)?")
            source.line(
                "    if case .\(field.name)(let value)? = self.\(property) { current = value }")
            source.line(
                "    if let value = try reader.readMember(current, as: \(field.codec).self) {")
            source.line("        self.\(property) = .\(field.name)(value)")
            source.line("    }")
        }
    }

    private func emitWrite(
        _ fields: [Field], into source: inout SourceText
    ) throws(GenerationError) {
        try source.block("package func write(to writer: inout ProtobufWriter)") {
            source throws(GenerationError) in
            for field in fields.sorted(by: { $0.number < $1.number }) {
                let rest = "field: \(field.number), as: \(field.codec).self)"
                switch field.shape {
                case .implicit:
                    source.line("writer.write(self.\(field.name), \(rest)")
                case .optional:
                    source.line("writer.writeOptional(self.\(field.name), \(rest)")
                case .repeated:
                    source.line("writer.writeRepeated(self.\(field.name), \(rest)")
                case .map(let key, let value):
                    source.line("writer.writeMap(")
                    source.line("    self.\(field.name), field: \(field.number),")
                    source.line("    key: \(key).self, value: \(value).self)")
                case .member(let oneof):
                    source.line(
                        "if case .\(field.name)(let value)? = self.\(oneofName(oneof).property) {")
                    source.line("    writer.writePresent(value, \(rest)")
                    source.line("}")
                }
            }
        }
    }
}

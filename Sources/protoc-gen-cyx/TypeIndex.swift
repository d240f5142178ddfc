/// Every message and enumeration of the request by its full proto name (`.package.Outer.Inner`).
struct TypeIndex {
    /// A type, and what Swift calls it.
    struct Entry {
        var swiftName: String
        var message: MessageDescriptor?
    }

    private var entries: [String: Entry] = [:]

    init(_ files: [FileDescriptor]) throws(GenerationError) {
        for file in files {
            let scope = file.package.isEmpty ? "" : "." + file.package
            let prefix = file.options.swiftPrefix
            for message in file.messages {
                add(message, scope: scope, swiftScope: "", prefix: prefix)
            }
            for enumeration in file.enums {
                entries["\(scope).\(enumeration.name)"] = Entry(
                    swiftName: prefix + Names.type(enumeration.name))
            }
        }
        for name in entries.keys.sorted() { try rejectRecursion(from: name) }
    }

    /// The type that a field names.
    func entry(for field: FieldDescriptor) throws(GenerationError) -> Entry {
        guard let entry = entries[field.typeName] else {
            throw GenerationError(message: "field \(field.name): unknown type \(field.typeName)")
        }
        return entry
    }

    private mutating func add(
        _ message: MessageDescriptor, scope: String, swiftScope: String, prefix: String
    ) {
        let full = "\(scope).\(message.name)"
        let swiftName = swiftScope + prefix + Names.type(message.name)
        entries[full] = Entry(swiftName: swiftName, message: message)
        for nested in message.messages {
            add(nested, scope: full, swiftScope: swiftName + ".", prefix: "")
        }
        for enumeration in message.enums {
            entries["\(full).\(enumeration.name)"] = Entry(
                swiftName: "\(swiftName).\(Names.type(enumeration.name))")
        }
    }

    /// A Swift struct cannot hold itself, so a chain of singular message fields must not close.
    private func rejectRecursion(from start: String) throws(GenerationError) {
        var seen: Set<String> = []
        var pending = [start]
        while let name = pending.popLast() {
            for field in entries[name]?.message?.fields ?? [] {
                guard field.isMessage, !field.isRepeated else { continue }
                guard field.typeName != start else {
                    throw GenerationError(
                        message: "\(start.dropFirst()) contains itself; use a repeated field")
                }
                if seen.insert(field.typeName).inserted { pending.append(field.typeName) }
            }
        }
    }
}

extension FieldDescriptor {
    var isRepeated: Bool { label == 3 }
    var isMessage: Bool { type == 11 }
    /// The oneof that holds this field; `optional` fields have one of their own, which is no such.
    var realOneof: Int? { isProto3Optional ? nil : oneofIndex.map(Int.init) }
}

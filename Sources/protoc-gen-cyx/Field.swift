/// What a field becomes in Swift.
struct Field {
    /// How a field is stored, read and written.
    enum Shape {
        case implicit
        case optional
        case repeated
        case map(key: String, value: String)
        case member(oneof: Int)
    }

    let number: Int32
    /// Where the field stands in its message, for its comments.
    let index: Int
    let name: String
    let type: String
    let codec: String
    let shape: Shape
    /// The default of an implicit scalar.
    let initial: String

    init(
        _ field: FieldDescriptor, index: Int, types: TypeIndex
    ) throws(GenerationError) {
        self.index = index
        number = field.number
        name = Names.property(field.name)
        if field.options.packed == false {
            throw GenerationError(message: "field \(field.name): packed = false is not supported")
        }
        if let entry = try Self.mapEntry(of: field, types: types) {
            let key = try Self.element(entry.fields[0], types: types)
            let value = try Self.element(entry.fields[1], types: types)
            (type, codec, initial) = ("[\(key.type): \(value.type)]", "", "[:]")
            shape = .map(key: key.codec, value: value.codec)
            return
        }
        let element = try Self.element(field, types: types)
        codec = element.codec
        if let oneof = field.realOneof {
            (type, initial) = (element.type, "")
            shape = .member(oneof: oneof)
        } else if field.isRepeated {
            (type, initial) = ("[\(element.type)]", "[]")
            shape = .repeated
        } else if field.isProto3Optional || field.isMessage {
            (type, initial) = (element.type + "?", "nil")
            shape = .optional
        } else {
            (type, initial) = (element.type, element.initial)
            shape = .implicit
        }
    }

    private static func mapEntry(
        of field: FieldDescriptor, types: TypeIndex
    ) throws(GenerationError) -> MessageDescriptor? {
        guard field.isMessage, field.isRepeated,
            let message = try types.entry(for: field).message,
            message.options.isMapEntry, message.fields.count == 2
        else { return nil }
        return message
    }

    private static func element(
        _ field: FieldDescriptor, types: TypeIndex
    ) throws(GenerationError) -> (type: String, codec: String, initial: String) {
        switch field.type {
        case 1: ("Double", "ProtobufDouble", "0")
        case 2: ("Float", "ProtobufFloat", "0")
        case 3: ("Int64", "ProtobufInt64", "0")
        case 4: ("UInt64", "ProtobufUInt64", "0")
        case 5: ("Int32", "ProtobufInt32", "0")
        case 6: ("UInt64", "ProtobufFixed64", "0")
        case 7: ("UInt32", "ProtobufFixed32", "0")
        case 8: ("Bool", "ProtobufBool", "false")
        case 9: ("String", "ProtobufString", "\"\"")
        case 11: try named("ProtobufNested", types.entry(for: field).swiftName, "")
        case 12: ("[UInt8]", "ProtobufBytes", "[]")
        case 13: ("UInt32", "ProtobufUInt32", "0")
        case 14:
            try named(
                "ProtobufEnumeration", types.entry(for: field).swiftName, ".init(rawValue: 0)")
        case 15: ("Int32", "ProtobufSFixed32", "0")
        case 16: ("Int64", "ProtobufSFixed64", "0")
        case 17: ("Int32", "ProtobufSInt32", "0")
        case 18: ("Int64", "ProtobufSInt64", "0")
        default:
            throw GenerationError(message: "field \(field.name): type \(field.type) (a group?)")
        }
    }

    private static func named(
        _ codec: String, _ type: String, _ initial: String
    ) -> (type: String, codec: String, initial: String) {
        (type, "\(codec)<\(type)>", initial)
    }
}

// The parts of google/protobuf/descriptor.proto and compiler/plugin.proto that the plugin needs,
// written by hand: this program is what would generate them.
import CyxCore

/// What protoc hands to a plugin.
struct CodeGeneratorRequest: ProtobufDecodable {
    var filesToGenerate: [String] = []
    var parameter = ""
    var files: [FileDescriptor] = []

    mutating func merge(from reader: inout ProtobufReader) throws(DecodingError) {
        while let field = try reader.nextField() {
            switch field {
            case 1: try reader.readRepeated(&filesToGenerate, as: ProtobufString.self)
            case 2: try reader.read(&parameter, as: ProtobufString.self)
            case 15: try reader.readMessages(&files)
            default: try reader.skip()
            }
        }
    }
}

/// One parsed .proto file.
struct FileDescriptor: ProtobufDecodable {
    var name = ""
    var package = ""
    var messages: [MessageDescriptor] = []
    var enums: [EnumDescriptor] = []
    var extensions: [FieldDescriptor] = []
    var options = FileOptions()
    var sourceInfo = SourceInfo()
    var syntax = ""

    mutating func merge(from reader: inout ProtobufReader) throws(DecodingError) {
        while let field = try reader.nextField() {
            switch field {
            case 1: try reader.read(&name, as: ProtobufString.self)
            case 2: try reader.read(&package, as: ProtobufString.self)
            case 4: try reader.readMessages(&messages)
            case 5: try reader.readMessages(&enums)
            case 7: try reader.readMessages(&extensions)
            case 8: try reader.readMessage(&options)
            case 9: try reader.readMessage(&sourceInfo)
            case 12: try reader.read(&syntax, as: ProtobufString.self)
            default: try reader.skip()
            }
        }
    }
}

/// The file options that matter here.
struct FileOptions: ProtobufDecodable {
    var swiftPrefix = ""

    mutating func merge(from reader: inout ProtobufReader) throws(DecodingError) {
        while let field = try reader.nextField() {
            switch field {
            case 39: try reader.read(&swiftPrefix, as: ProtobufString.self)
            default: try reader.skip()
            }
        }
    }
}

/// A message type.
struct MessageDescriptor: ProtobufDecodable {
    var name = ""
    var fields: [FieldDescriptor] = []
    var messages: [MessageDescriptor] = []
    var enums: [EnumDescriptor] = []
    var extensions: [FieldDescriptor] = []
    var options = MessageOptions()
    var oneofs: [OneofDescriptor] = []

    mutating func merge(from reader: inout ProtobufReader) throws(DecodingError) {
        while let field = try reader.nextField() {
            switch field {
            case 1: try reader.read(&name, as: ProtobufString.self)
            case 2: try reader.readMessages(&fields)
            case 3: try reader.readMessages(&messages)
            case 4: try reader.readMessages(&enums)
            case 6: try reader.readMessages(&extensions)
            case 7: try reader.readMessage(&options)
            case 8: try reader.readMessages(&oneofs)
            default: try reader.skip()
            }
        }
    }
}

/// The message options that matter here.
struct MessageOptions: ProtobufDecodable {
    var isMapEntry = false

    mutating func merge(from reader: inout ProtobufReader) throws(DecodingError) {
        while let field = try reader.nextField() {
            switch field {
            case 7: try reader.read(&isMapEntry, as: ProtobufBool.self)
            default: try reader.skip()
            }
        }
    }
}

/// A oneof; its members refer to it by index.
struct OneofDescriptor: ProtobufDecodable {
    var name = ""

    mutating func merge(from reader: inout ProtobufReader) throws(DecodingError) {
        while let field = try reader.nextField() {
            switch field {
            case 1: try reader.read(&name, as: ProtobufString.self)
            default: try reader.skip()
            }
        }
    }
}

/// A field.
struct FieldDescriptor: ProtobufDecodable {
    var name = ""
    var number: Int32 = 0
    var label: Int32 = 0
    var type: Int32 = 0
    var typeName = ""
    var options = FieldOptions()
    var oneofIndex: Int32?
    var isProto3Optional = false

    mutating func merge(from reader: inout ProtobufReader) throws(DecodingError) {
        while let field = try reader.nextField() {
            switch field {
            case 1: try reader.read(&name, as: ProtobufString.self)
            case 3: try reader.read(&number, as: ProtobufInt32.self)
            case 4: try reader.read(&label, as: ProtobufInt32.self)
            case 5: try reader.read(&type, as: ProtobufInt32.self)
            case 6: try reader.read(&typeName, as: ProtobufString.self)
            case 8: try reader.readMessage(&options)
            case 9: try reader.readOptional(&oneofIndex, as: ProtobufInt32.self)
            case 17: try reader.read(&isProto3Optional, as: ProtobufBool.self)
            default: try reader.skip()
            }
        }
    }
}

/// The field options that matter here.
struct FieldOptions: ProtobufDecodable {
    var packed: Bool?

    mutating func merge(from reader: inout ProtobufReader) throws(DecodingError) {
        while let field = try reader.nextField() {
            switch field {
            case 2: try reader.readOptional(&packed, as: ProtobufBool.self)
            default: try reader.skip()
            }
        }
    }
}

/// An enumeration.
struct EnumDescriptor: ProtobufDecodable {
    var name = ""
    var values: [EnumValueDescriptor] = []

    mutating func merge(from reader: inout ProtobufReader) throws(DecodingError) {
        while let field = try reader.nextField() {
            switch field {
            case 1: try reader.read(&name, as: ProtobufString.self)
            case 2: try reader.readMessages(&values)
            default: try reader.skip()
            }
        }
    }
}

/// A value of an enumeration.
struct EnumValueDescriptor: ProtobufDecodable {
    var name = ""
    var number: Int32 = 0

    mutating func merge(from reader: inout ProtobufReader) throws(DecodingError) {
        while let field = try reader.nextField() {
            switch field {
            case 1: try reader.read(&name, as: ProtobufString.self)
            case 2: try reader.read(&number, as: ProtobufInt32.self)
            default: try reader.skip()
            }
        }
    }
}

/// Where in the file what stands.
struct SourceInfo: ProtobufDecodable {
    var locations: [SourceLocation] = []

    mutating func merge(from reader: inout ProtobufReader) throws(DecodingError) {
        while let field = try reader.nextField() {
            switch field {
            case 1: try reader.readMessages(&locations)
            default: try reader.skip()
            }
        }
    }
}

/// The comments of the element at a path of field numbers and indices.
struct SourceLocation: ProtobufDecodable {
    var path: [Int32] = []
    var leadingComments = ""

    mutating func merge(from reader: inout ProtobufReader) throws(DecodingError) {
        while let field = try reader.nextField() {
            switch field {
            case 1: try reader.readRepeated(&path, as: ProtobufInt32.self)
            case 3: try reader.read(&leadingComments, as: ProtobufString.self)
            default: try reader.skip()
            }
        }
    }
}

/// What a plugin answers.
struct CodeGeneratorResponse: ProtobufEncodable {
    struct File: ProtobufEncodable {
        var name = ""
        var content = ""

        func write(to writer: inout ProtobufWriter) {
            writer.write(name, field: 1, as: ProtobufString.self)
            writer.write(content, field: 15, as: ProtobufString.self)
        }
    }

    /// FEATURE_PROTO3_OPTIONAL.
    private static let supportedFeatures: UInt64 = 1

    var error: String?
    var files: [File] = []

    func write(to writer: inout ProtobufWriter) {
        writer.writeOptional(error, field: 1, as: ProtobufString.self)
        writer.write(Self.supportedFeatures, field: 2, as: ProtobufUInt64.self)
        for file in files { writer.writeMessage(file, field: 15) }
    }
}

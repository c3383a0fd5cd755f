# cmake -DINPUT=FILE -DOUTPUT=FILE.c -DNAME=SYMBOL -P EmbedFile.cmake
# Writes C source with the bytes of INPUT as SYMBOL and their number as SYMBOL_bytes.
file(READ "${INPUT}" hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((0x..,){16})" "\\1\n" bytes "${bytes}")
file(WRITE "${OUTPUT}" "#include <stddef.h>\n\n"
  "extern const unsigned char ${NAME}[];\nextern const size_t ${NAME}_bytes;\n\n"
  "const unsigned char ${NAME}[] = {\n${bytes}\n};\n"
  "const size_t ${NAME}_bytes = sizeof ${NAME};\n")

"""GroupDRO: domains count the more, the higher their loss is."""

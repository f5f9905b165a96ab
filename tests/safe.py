"""Parts of Sentinel-2 products as ESA writes them: the description beside the bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PHYSICAL: Final = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
METRES: Final = (60, 10, 10, 10, 20, 20, 20, 10, 20, 60, 60, 20, 20)
ALL_LESS_1000: Final = dict.fromkeys(range(13), -1000)


def description(
    *,
    level: str = "2A",
    baseline: str | None = "05.11",
    offsets: Mapping[int, object] | None = ALL_LESS_1000,
    scale: str = "10000",
    taken: str = "2025-01-10T10:33:21.024Z",
) -> bytes:
    """Return MTD_MSIL2A.xml or MTD_MSIL1C.xml; ``offsets`` are by the band's identifier, None for no list."""
    if level == "2A":
        product, listed, one = "S2MSI2A", "BOA_ADD_OFFSET_VALUES_LIST", "BOA_ADD_OFFSET"
        scales = f"""
      <QUANTIFICATION_VALUES_LIST>
        <BOA_QUANTIFICATION_VALUE unit="none">{scale}</BOA_QUANTIFICATION_VALUE>
        <AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>
        <WVP_QUANTIFICATION_VALUE unit="cm">1000.0</WVP_QUANTIFICATION_VALUE>
      </QUANTIFICATION_VALUES_LIST>"""
    else:
        product, listed, one = "S2MSI1C", "Radiometric_Offset_List", "RADIO_ADD_OFFSET"
        scales = f'\n      <QUANTIFICATION_VALUE unit="none">{scale}</QUANTIFICATION_VALUE>'
    rows = "".join(f'\n        <{one} band_id="{band}">{value}</{one}>' for band, value in (offsets or {}).items())
    offset_list = "" if offsets is None else f"\n      <{listed}>{rows}\n      </{listed}>"
    version = "" if baseline is None else f"\n      <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>"
    spectral = "".join(
        f'\n        <Spectral_Information bandId="{index}" physicalBand="{band}">'
        f"<RESOLUTION>{metres}</RESOLUTION></Spectral_Information>"
        for index, (band, metres) in enumerate(zip(PHYSICAL, METRES, strict=True))
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_User_Product
    xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{level}.xsd"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{taken}</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>{taken}</PRODUCT_STOP_TIME>
      <PROCESSING_LEVEL>Level-{level}</PROCESSING_LEVEL>
      <PRODUCT_TYPE>{product}</PRODUCT_TYPE>{version}
      <Datatake datatakeIdentifier="GS2B_20250110T103321_040991_N05.11">
        <SPACECRAFT_NAME>Sentinel-2B</SPACECRAFT_NAME>
        <SENSING_ORBIT_NUMBER>108</SENSING_ORBIT_NUMBER>
      </Datatake>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX>
      </Special_Values>{scales}{offset_list}
      <Spectral_Information_List>{spectral}
      </Spectral_Information_List>
    </Product_Image_Characteristics>
  </n1:General_Info>
</n1:Level-{level}_User_Product>
""".encode()

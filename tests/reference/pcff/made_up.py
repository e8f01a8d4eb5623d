"""A small parameter file with numbers that mean nothing, for saturated hydrocarbons and an ethene-like cp2h4."""

from openmm_cgml.reference.pcff import read_pcff_parameters

TEXT = """!BIOSYM forcefield 1
#version made-up.frc 1.0 today

#define made_up

! Ver Ref Function Label
 1.0 1 atom_types made_up

#atom_types made_up
> A remark.
!Ver Ref Type Mass Element connection
 1.0 1 c  12.5 C 4 a carbon with 4 bonds
 1.0 1 c2 12.5 C 4
 1.0 1 c3 12.5 C 4
 1.0 1 cp 12.5 C 3
 1.0 1 h   1.5 H 1
 1.0 1 hc  1.5 H 1

#equivalence made_up
!Ver Ref Type NonB Bond Angle Torsion OOP
 1.0 1 c  c  c  c  c  c
 1.0 1 c2 c  c  c  c  c
 1.0 1 c3 c  c  c  c  c
 1.0 1 cp cp cp cp cp cp
 1.0 1 h  h  h  h  h  h
 1.0 1 hc h  h  h  h  h

#auto_equivalence made_up_auto
 2.0 1 c2 c c c_ c_ c_ c_ c_ c_ c_
 2.0 1 c3 c c c_ c_ c_ c_ c_ c_ c_
 2.0 1 hc h h h_ h_ h_ h_ h_ h_ h_

#bond_increments made_up_auto
 1.0 1 c  c   0.0  0.0
 1.0 1 c  h  -0.06 0.06
 1.0 1 cp cp  0.0  0.0
 1.0 1 cp h  -0.2  0.2

#quartic_bond made_up
> E = K2 (R - R0)^2 + ...
 1.0 1 c  c  1.9 1.0 1.0 1.0
 2.0 2 c  c  1.5 300.0 -500.0 700.0
 2.0 3 c  c  1.8 2.0 2.0 2.0
 1.5 3 c  c  1.7 3.0 3.0 3.0
 1.0 1 c  h  1.1 350.0 -600.0 800.0
 1.0 1 cp cp 1.35 500.0 -700.0 900.0
 1.0 1 cp h  1.08 370.0 -650.0 850.0

#quartic_angle made_up
 1.0 1 c  c  c  113.0 40.0 -7.0 -9.0
 1.0 1 c  c  h  110.0 42.0 -11.0 5.0
 1.0 1 h  c  h  107.0 38.0 -12.0 -3.0
 1.0 1 cp cp h  121.0 35.0 -9.0 4.0
 1.0 1 h  cp h  117.0 30.0 -8.0 3.0

#torsion_3 made_up
 1.0 1 c  c  c  c  0.1 0.0  0.05 0.0 -0.2  0.0
 1.0 1 c  c  c  h  0.2 0.0  0.04 0.0 -0.15 0.0
 1.0 1 *  c  c  *  9.0 0.0  9.0  0.0  9.0  0.0
 1.0 1 h  cp cp h  0.7 0.0  2.5  180.0 0.3 0.0

#wilson_out_of_plane made_up
 1.0 1 h  cp cp h  5.0 0.0

#wilson_out_of_plane made_up_auto
 9.0 1 h  cp cp h  77.0 0.0

#nonbond(9-6) made_up
> E = ...
@type r-eps
@combination sixth-power
 1.0 1 c  4.0 0.05
 1.0 1 cp 3.9 0.06
 1.0 1 h  3.0 0.02

#bond-bond made_up
 1.0 1 c  c  c  1.0
 1.0 1 c  c  h  3.0
 1.0 1 h  c  h  5.0
 1.0 1 cp cp h  2.5
 1.0 1 h  cp h  4.5

#bond-bond_1_3 made_up
 1.0 1 h  cp cp h -30.0

#bond-angle made_up
 1.0 1 c  c  c   8.0
 1.0 1 c  c  h  20.0 11.0
 1.0 1 h  c  h  18.0
 1.0 1 cp cp h  25.0 16.0
 1.0 1 h  cp h  14.0

#angle-angle made_up
 1.0 1 c  c  c  h -1.3
 1.0 1 c  c  h  c  0.1
 1.0 1 c  c  h  h  0.3
 1.0 1 h  c  c  h -0.5
 1.0 1 h  c  h  h -0.4
 1.0 1 h  cp cp h -6.0
 1.0 1 cp cp h  h  8.0

#end_bond-torsion_3 made_up
 1.0 1 c  c  c  c -0.07 0.1 0.2
 1.0 1 c  c  c  h  0.25 0.24 -0.09 0.08 0.06 0.22
 1.0 1 h  c  c  h  0.2 0.3 0.1
 1.0 1 h  cp cp h  1.2 -2.3 3.4

#middle_bond-torsion_3 made_up
 1.0 1 c  c  c  c -18.0 -7.0 1.0
 1.0 1 c  c  c  h -15.0 -4.0 -0.3
 1.0 1 h  c  c  h -14.0 -0.5 -0.4
 1.0 1 h  cp cp h -6.0 9.0 -3.0

#angle-torsion_3 made_up
 1.0 1 c  c  c  c  0.4 -0.3 0.1
 1.0 1 c  c  c  h -0.2 0.1 -0.1 0.3 0.4 -0.2
 1.0 1 h  c  c  h -0.8 0.6 -0.01
 1.0 1 h  cp cp h  2.1 -3.2 4.3

#angle-angle-torsion_1 made_up
 1.0 1 c  c  c  c -22.0
 1.0 1 c  c  c  h -16.0
 1.0 1 h  c  c  h -12.0
 1.0 1 h  cp cp h -9.0

#reference 1
@Author nobody
#end
"""


def write(folder, text=TEXT):
    path = folder / "made-up.frc"
    path.write_text(text)
    return path


def parameters(folder, text=TEXT):
    return read_pcff_parameters(write(folder, text))
